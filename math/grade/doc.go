// Package grade extracts the answer from a solution and decides whether it is
// the reference answer. It has three styles:
//
//   - DeepSeekMath gives the verdicts of DeepSeekMath's evaluation script
//     (arXiv 2402.03300), which is the reward of the OREO paper. Its mistakes
//     are reproduced, so that rewards and figures compare; model output is never
//     evaluated as code, and no verdict depends on a clock.
//   - Qwen gives the verdicts of Qwen2.5-Math's harness (arXiv 2409.12122).
//   - Strict decides by meaning.
//
// The first two keep the harnesses' steps: extraction, normalisation of the
// answer string, comparison as numbers, part by part, and as expressions. Where
// Python calls sympy, package expr compares values at pseudo-random points.
//
// # Where deepseekmath is known to depart from the script
//
//   - Integrals are not computed: \int_0^1 x dx is not 1/2.
//   - |z|^2 is found equal to z\overline{z}, which sympy does not see.
//   - Of Python's expressions only arithmetic is read: 5\&3 is not 1.
//   - An answer of more than 16 kB is compared as it stands, one of more than 2 kB
//     is not parsed, and the text parsed in one grading is bounded. The script
//     would run on, or be killed by OREO's time-out and count as wrong.
//
// # Where strict and deepseekmath differ on purpose
//
//	class                 example (answer, reference)       deepseekmath  strict
//	factor of 100         50, 0.5                           right         wrong
//	percent sign          50\%, 0.5                         right         right
//	tolerance             0.0005, 0.001                     right         wrong
//	rounded decimal       1.4142, \sqrt{2}                  right         right
//	  fewer than 3 places 1.41, \sqrt{2}                    wrong         wrong
//	interval brackets     [1,2], (1,2)                      right         wrong
//	sets                  \{1,2\}, \{2,1\}                  wrong         right
//	lists                 1,2 with 2,1                      wrong         right
//	repeated boxes        \boxed{1} and \boxed{2} with 1,2  wrong         right
//	union of intervals    [1,2]\cup[3,4], (1,2)\cup(3,4)    right         wrong
//	multiple of equation  2x+2y=6, x+y=3                    wrong         right
//	named function        f(x)=2x, 2x                       wrong         right
//	inequality            x>3, 3<x                          wrong         right
//	inequality, interval  x\ge3, [3,\infty)                 wrong         right
//	mixed number          2\frac12, \frac52                 wrong         right
//	product sign          2\cdot3, 6                        wrong         right
//	                      2\cdot3, 23                       right         wrong
//	value of pi           \pi, 3.14159                      wrong         right
//	imaginary unit        i^2, -1                           wrong         right
//	base subscript        10_2, 2                           wrong         right
//	                      4210_{7}, 4210_8                  right         wrong
//	units that differ     5\text{ cm}, 5\text{ m}           right         wrong
//	trailing t            3t, 3                             right         wrong
//	what follows          x^2+, x^2                         right         wrong
//	                      x,y with x                        right         wrong
//	letters as functions  x(x+1), x^2+x                     wrong         right
//	negative exponent     x^-1, \frac1x                     wrong         right
//	doubled backslashes   \\frac12, \frac12                 wrong         right
//	plus or minus         \pm2 with -2,2                    wrong         right
//	matrix brackets       both take pmatrix for bmatrix     right         right
//
// Each row is tested. A unit on one side only is passed over. Names on the left
// of an equation count only where both sides name the same things.
package grade
