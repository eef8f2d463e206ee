#include "textflag.h"

// func vfork(number, a1, a2 uintptr) (r, errno uintptr)
// The return address waits in R12, which the kernel keeps for parent and child.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-40
	MOVQ	number+0(FP), AX
	MOVQ	a1+8(FP), DI
	MOVQ	a2+16(FP), SI
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	XORL	R9, R9
	POPQ	R12
	SYSCALL
	PUSHQ	R12
	CMPQ	AX, $0xfffffffffffff001
	JCC	failed
	MOVQ	AX, r+24(FP)
	MOVQ	$0, errno+32(FP)
	RET

failed:
	NEGQ	AX
	MOVQ	$0, r+24(FP)
	MOVQ	AX, errno+32(FP)
	RET
