#include "textflag.h"

// func vfork(number, a1, a2 uintptr) (r, errno uintptr)
// A leaf without a frame: the return address stays in the link register.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-40
	MOVD	number+0(FP), R8
	MOVD	a1+8(FP), R0
	MOVD	a2+16(FP), R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$0, R5
	SVC
	CMN	$4095, R0
	BCS	failed
	MOVD	R0, r+24(FP)
	MOVD	ZR, errno+32(FP)
	RET

failed:
	NEG	R0, R0
	MOVD	ZR, r+24(FP)
	MOVD	R0, errno+32(FP)
	RET
