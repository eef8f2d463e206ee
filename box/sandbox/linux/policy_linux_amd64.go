package linux

import "golang.org/x/sys/unix"

// nativePolicy adds what only this architecture has: its old calls, and the x32
// convention, whose numbers begin at 0x40000000. A 32-bit call ends the process.
func nativePolicy() policy {
	p := commonPolicy(unix.AUDIT_ARCH_X86_64)
	p.ceiling = 0x40000000
	p.deny(unix.EPERM, []uint32{unix.SYS_KEXEC_FILE_LOAD, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT})
	p.deny(unix.ENOSYS, []uint32{
		unix.SYS_CREATE_MODULE, unix.SYS_GET_KERNEL_SYMS, unix.SYS_QUERY_MODULE, unix.SYS__SYSCTL, unix.SYS_USELIB,
		unix.SYS_USTAT, unix.SYS_SYSFS, unix.SYS_LOOKUP_DCOOKIE,
	})
	return p
}
