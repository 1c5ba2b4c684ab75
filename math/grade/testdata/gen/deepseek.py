"""Writes ../strip.jsonl, ../symbolic.jsonl and ../deepseek.jsonl: what DeepSeekMath's
evaluation script makes of the cases below, which were written for this project.

    python deepseek.py CHECKOUT/evaluation

in the environment that math/grade/bench makes (sympy 1.12, antlr 4.11.0, regex
2023.10.3, numpy 1.26.0).
"""
import json
import pathlib
import sys
import warnings

warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])

from data_processing.answer_extraction import extract_last_single_answer, extract_math_answer, strip_string  # noqa: E402
from eval.eval_script import eval_last_single_answer, eval_math  # noqa: E402
from eval.eval_utils import symbolic_equal  # noqa: E402

STRIP = r"""
\frac12|\frac1{72}|\frac{1}2|\frac|\frac1|\tfrac34|\dfrac{a}{b}|\cfrac12|1/2|-1/2|3/-4|0/5|05/3|1/2/3|sqrt2/2|x/y|+1/2
\sqrt2|\sqrt 2|\sqrt{2}|\sqrt-2|\sqrtx+1|\sqrt 2+1|2\sqrt 3|\sqrt[3]2|\tan45|\tan x|\tan x+1|\tan 2 x
5.0|5.00|5.003|5.000x|1.0.0|1.00,2.00|10.0%|.5|-.5|x=.5|{.5}|2 .5|5.|5...|0.50
5\text{ cm}|\text{even}|\text{A} \text{B}|5\text{ and }6|\text{ cm}|7\mbox{ inches}|3\mbox{ cm}^2|\mbox{x|12{cm}^2|4{m}|2{mm}^3 x
90^\circ|90^{\circ}|x^\circ y|\$5|$5$|5\%|5\\%|100 %|x\in[1,2]|x \in (1,2)|3t|3 t|t|xt|7:30p.m.|p.m.
infinity|inf|\infty|-inf|+\inity|information|(-\infty,3)|2\cdot3|2 \cdot 3|\left(1,2\right)|\mathbf{i}+\mathbf{j}|\mathrm{e}
i+j|2j|jam|3+4j|1,000|1,000.00|a\!b|11,\! 111|x,y,|x\\|5\,|\,5|'a'|"b"| 1 2 3 |\displaystyle 5|12^{th}
"""

SYMBOLIC = r"""
1+1 ~ 2; x+x ~ 2x; (x+1)^2 ~ x^2+2x+1; (x+y)^2 ~ x^2+y^2; \frac{1}{2} ~ 0.5; \frac{x}{2} ~ 0.5x; \frac{1}{3} ~ 0.3333; \frac{1}{3} ~ 0.33; \frac{1}{\sqrt{2}} ~ \frac{\sqrt{2}}{2}
\sqrt{x^2} ~ x; \sqrt{4} ~ 2; \sqrt{-4} ~ 2\sqrt{-1}; \sqrt[3]{27} ~ 3; \sqrt[3]{-8} ~ -2; \sqrt{3+2\sqrt{2}} ~ 1+\sqrt{2}; |x| ~ x; |-3| ~ 3
\pi ~ 3.14159; 2\pi ~ \pi+\pi; \frac{\pi}{2} ~ \pi/2; e^0 ~ 1; i^2 ~ -1; \infty ~ \infty; -\infty ~ \infty; \pm5 ~ 5
2\frac{1}{2} ~ 1; 2\frac{1}{2} ~ \frac{5}{2}; x^23 ~ x^{23}; x^{2}3 ~ 3x^2; 2^3^2 ~ 64; x^-1 ~ x; x^{-1} ~ \frac{1}{x}; -3^2 ~ -9; -3^2 ~ 9
a,b ~ a; 1,234 ~ 1234; 1,23 ~ 1; 12,345,678 ~ 12345678; x+ ~ x; x^ ~ x; x^{2 ~ x; 2x_ ~ 2; ab_ ~ a; x_ ~ x; 5. ~ 5; 2+5. ~ 7; 2x5. ~ 2x; (.5) ~ \frac{1}{2}; 4.#9 ~ 4
x_1 ~ x_{1}; x_{12} ~ x_1; x_a^2 ~ x_{a}^2; 5_7 ~ 5; 4210_{7} ~ 4210_8; f(x) ~ f(x); f(x) ~ f(y); f(x+x) ~ f(2x); x(x+1) ~ x^2+x; x(y) ~ xy; f(x ~ f; f(1,2) ~ f(1,2)
\sin x ~ \sin(x); \sin^2x+\cos^2x ~ 1; \sin^{-1}x ~ \arcsin x; \tan x ~ \frac{\sin x}{\cos x}; \sin xy ~ \sin(xy); \sin x/2 ~ \sin(x/2); \sec^2(y) ~ \tan^2(y)+1
\log_28 ~ 3; \log_2(8) ~ 3; \ln x ~ \log x; \lg 100 ~ 2; \log 10 ~ 1; \exp(x) ~ e^x; 5! ~ 120; n! ~ n(n-1)!; (n+1)! ~ (n+1)n!; \binom{5}{2} ~ 10; \binom{n}{1} ~ n
\lfloor2.5\rfloor ~ 2; \lceil2.5\rceil ~ 3; \overline{x} ~ x; \frac12 ~ 0.5; \frac123 ~ \frac{3}{2}; 3:2 ~ 1.5; 6/2/3 ~ 1; 6/2(3) ~ 9; 1/2x ~ \frac{x}{2}
\text{and} ~ \text{dan}; xy ~ yx; 2x3 ~ 6; 2x3y ~ 6xy; x2 ~ 2x; 3 5 ~ 35; \mathit{ab} ~ ab; \cos(x-y) ~ \cos x\cos y+\sin x\sin y; 2^x2^y ~ 2^{x+y}
(1,2) ~ (1,2); \{1,2\} ~ \{1,2\}; x>3 ~ x>3; x=3 ~ x=3; 02 ~ 2; 0.02 ~ \frac{1}{50}; 10\% ~ 10; 10# ~ 10; x# ~ x; x,# ~ x; (x+1)(x-1) ~ x^2-1; \frac{x^2-1}{x-1} ~ x+1
\sum_{k=1}^{10}k ~ 55; \prod_{k=1}^{4}k ~ 24; \langle x ~ x; 1-i ~ -i+1; \frac{a+b}{c} ~ \frac{a}{c}+\frac{b}{c}; 9a+11/20 ~ (9a+11)/20; x\times y ~ xy; 6\div2 ~ 3
0.1+0.2 ~ 0.3; 10^{-3} ~ 0.001; 10^{-3} ~ 0.0015; 1.5\times10^3 ~ 1500; 1e3 ~ 1000; x^{0.5} ~ \sqrt{x}; x^{0.5} ~ x^{.5}; 2x^{0.5} ~ x^{0.5}+x^{0.5}; 4^{0.5} ~ 2; \frac{1}{0} ~ \frac{1}{0}; x-x ~ 0; \frac{x}{x} ~ 1
"""

# generation; gold; problem; dataset
GRADES = [
    (r"So \boxed{\frac12}.", r"\frac{1}{2}"), (r"\boxed{3} and \boxed{4}", "4"), (r"\boxed{1,2}", "2,1"),
    (r"\boxed{1,2}", "2,1", "Enter the roots, separated by commas."), (r"\boxed{(1,2)}", "(1,2)", "separated by commas"),
    (r"\boxed{1\text{ and }2}", r"2\text{ and }1"), (r"\boxed{2}, \boxed{2}", "2"), (r"\boxed 5", "5"), (r"\boxed{50}%", "50"),
    (r"\boxed{5", "5"), (r"\boxed{\boxed{5}}", "5"), ("The answer is 7.", "7"), ("the answer is: 7/", "7"),
    ("So he answer is 3. Then the answer is 4", "4"), ("final answer is $x+1$. I hope it is correct.", "1+x"),
    ("```output\n5\n```", "5"), ("```output\n5\n```\n```output\n6\n```", "6"), ("```output\n\n``` 8", "8"),
    ("I count 1,234 or -5.5 apples", "-5.5"), ("no number", "5"), ("", "5"), (r"\boxed{}", "5"), (r"\boxed{}", ""),
    ("3-4", "-4"), ("1.2.3", ".3"), ("12 apples", "12", "", "gsm8k"), ("#### 1,234", "1,234", "", "gsm8k"), ("it is 12", "1200", "", "gsm8k"),
    ("A: $5", "5", "", "gsm8k"), (r"\boxed{12gallons}", "12", "", "gsm8k"), ("the answer is 5 and 6", "5", "", "gsm8k"),
    (r"\boxed{100}", "1"), (r"\boxed{7500}", "75"), (r"\boxed{0.001}", "0.0005"), (r"\boxed{50\%}", "0.5"), (r"\boxed{50\%}", "50"),
    (r"\boxed{1_0}", "10"), (r"\boxed{1e3}", "1000"), (r"\boxed{nan}", "nan"), (r"\boxed{-0}", "0"), (r"\boxed{1,22}", "1.22"),
    (r"\boxed{[1,2]}", "(1,2)"), (r"\boxed{(1,2)}", "(2,1)"), (r"\boxed{(\frac12,0.25)}", r"(0.5,\frac14)"), (r"\boxed{(1,2),(3,4)}", "(3,4),(1,2)"),
    (r"\boxed{\{1,2\}}", r"\{2,1\}"), (r"\boxed{(-\infty,1)\cup(2,\infty)}", r"(2,\infty)\cup(-\infty,1)"),
    (r"\boxed{(0,1)\cup(2,3)}", r"[2,3]\cup[0,1]"), (r"\boxed{\begin{pmatrix}1\\2\end{pmatrix}}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    (r"\boxed{\begin{pmatrix}1&2\\3&4\end{pmatrix}}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
    (r"\boxed{\begin{pmatrix}0.5\\\frac{1}{3}\end{pmatrix}}", r"\begin{pmatrix}\frac12\\0.3333\end{pmatrix}"),
    (r"\boxed{\begin{pmatrix}1\\2\\\end{pmatrix}}", r"\begin{pmatrix}1\\2\end{pmatrix}"), (r"\boxed{x=5}", "5"), (r"\boxed{5}", "x=5"),
    (r"\boxed{xyz=5}", "5"), (r"\boxed{y=2x}", "2x=y"), (r"\boxed{y=2x}", "y-2x=0"), (r"\boxed{2y=4x}", "y=2x"), (r"\boxed{f(x)=x}", "x"),
    (r"\boxed{x=1=1}", "1"), (r"\boxed{x>3}", "3<x"), (r"\boxed{x\ge3}", r"x\ge3"), (r"\boxed{\text{Monday}}", "Monday"),
    (r"\boxed{\text{(B)}}", "B"), (r"\boxed{B}", "b"), (r"\boxed{5\text{ cm}}", "5"), (r"\boxed{90^\circ}", "90"), (r"\boxed{\$12.50}", "12.5"),
    (r"\boxed{x\in[1,2]}", "[1,2]"), (r"\boxed{2516_8}", "2516"), (r"\boxed{10_2}", "10_3"), (r"\boxed{\pm2}", "-2,2"), (r"\boxed{6-5i}", "6-5j"),
    (r"\boxed{2\cdot3}", "23"), (r"\boxed{3t}", "3"), (r"\boxed{\frac{2}{3}}", "0.6666"), (r"\boxed{\frac{2}{3}}", "66.67"), (r"\boxed{1:2}", "0.5"),
    (r"\boxed{12:30}", "12:30"), (r"\boxed{3\sqrt{2}+1}", r"1+\sqrt{18}"), (r"\boxed{\\frac12}", r"\frac12"), (r"\boxed{x^2+}", "x^2"),
]


def write(name, records):
    path = pathlib.Path(__file__).parent.parent / name
    with open(path, "w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    print(f"{len(records)} cases in {path.name}")


def split(text, separators):
    for separator in separators[1:]:
        text = text.replace(separator, separators[0])
    return [part for part in text.split(separators[0]) if part]


def strip_cases():
    return [{"in": s, "want": strip_string(s)} for s in split(STRIP, ["|", "\n"])]


def symbolic_cases():
    pairs = [pair.split(" ~ ") for pair in split(SYMBOLIC, ["; ", "\n"])]
    return [{"a": a, "b": b, "equal": symbolic_equal(a, b)} for a, b in pairs]


def grade_case(generation, gold, problem="", dataset="math"):
    if dataset == "gsm8k":
        extract, judge, reference = extract_last_single_answer, eval_last_single_answer, "#### " + gold
    else:
        extract, judge, reference = extract_math_answer, eval_math, "\\boxed{" + gold + "}"
    extracted = extract(problem, generation, "cot")
    item = {"prediction": extracted, "answer": extract(problem, reference, "cot")}
    listed = [extracted] if isinstance(extracted, str) else list(extracted)
    return {"generation": generation, "gold": gold, "problem": problem, "dataset": dataset,
            "extracted": listed, "correct": bool(judge(item))}


write("strip.jsonl", strip_cases())
write("symbolic.jsonl", symbolic_cases())
write("deepseek.jsonl", [grade_case(*case) for case in GRADES])
