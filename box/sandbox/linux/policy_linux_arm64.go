package linux

import "golang.org/x/sys/unix"

// nativePolicy adds what only this architecture has. A 32-bit call ends the
// process.
func nativePolicy() policy {
	p := commonPolicy(unix.AUDIT_ARCH_AARCH64)
	p.deny(unix.EPERM, []uint32{unix.SYS_KEXEC_FILE_LOAD})
	p.deny(unix.ENOSYS, []uint32{unix.SYS_LOOKUP_DCOOKIE})
	return p
}
