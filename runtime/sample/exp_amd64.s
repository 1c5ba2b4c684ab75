#include "textflag.h"

// func vectorExpSum(logits *float32, n int, top float32, constants *[11][8]float32) float64
//
// Eight logits a turn: Y0 is x - top and then r, Y1 the whole number n as bits
// behind magic, Y2 n, Y3 the polynomial; Y8 and Y9 are sums of four doubles.
TEXT ·vectorExpSum(SB), NOSPLIT, $0-40
	MOVQ logits+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS top+16(FP), Y15
	MOVQ constants+24(FP), AX
	VMOVUPS 32(AX), Y14  // log2e
	VMOVUPS 64(AX), Y13  // magic
	VMOVUPS 96(AX), Y12  // ln2Hi
	VMOVUPS 128(AX), Y11 // ln2Lo
	VMOVUPS 160(AX), Y10 // exp5
	VXORPD Y8, Y8, Y8
	VXORPD Y9, Y9, Y9

turn:
	VMOVUPS (SI), Y0
	VSUBPS Y15, Y0, Y0
	VCMPPS $1, (AX), Y0, Y7 // x - top < lowest
	VMOVAPS Y0, Y1
	VFMADD213PS Y13, Y14, Y1 // n + magic
	VSUBPS Y13, Y1, Y2
	VFNMADD231PS Y12, Y2, Y0
	VFNMADD231PS Y11, Y2, Y0
	VMOVAPS Y10, Y3
	VFMADD213PS 192(AX), Y0, Y3 // exp4
	VFMADD213PS 224(AX), Y0, Y3 // exp3
	VFMADD213PS 256(AX), Y0, Y3 // exp2
	VFMADD213PS 288(AX), Y0, Y3 // 1 + r q(r)
	VFMADD213PS 288(AX), Y0, Y3 // 1 + r + r^2 q(r)
	VPADDD 320(AX), Y1, Y1
	VPSLLD $23, Y1, Y1 // 2^n
	VMULPS Y1, Y3, Y3
	VANDNPS Y3, Y7, Y3
	VCVTPS2PD X3, Y4
	VEXTRACTF128 $1, Y3, X5
	VCVTPS2PD X5, Y6
	VADDPD Y4, Y8, Y8
	VADDPD Y6, Y9, Y9
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ turn

	VADDPD Y9, Y8, Y8
	VEXTRACTF128 $1, Y8, X1
	VADDPD X1, X8, X8
	VHADDPD X8, X8, X8
	VMOVSD X8, ret+32(FP)
	VZEROUPPER
	RET
