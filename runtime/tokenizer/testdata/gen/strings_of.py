"""Varied test strings, the same on every run: mathematics, LaTeX, English, CJK, emoji, white space, rare Unicode, special tokens."""
import random
import re
import unicodedata

WORDS = ("Tom buys 3 apples and 12 pears, then sells half of what's left for $4.50 each; how much does he've to pay? they'll we're I'm DON'T "
         "can't she'd it'S step-by-step therefore the answer is #### 42 e.g. U.S.A. hello_world camelCase foo.bar(baz) https://example.org/a?b=c&d=1 "
         "naïve café résumé Straße coöperate").split()
LATEX = [r"\frac{1}{2}", r"\sqrt{17}", r"\boxed{42}", r"x^{10}_{n-1}", r"\left( a+b \right)^2", "\\begin{align*}\n  a &= 1 \\\\\n  b &= 2\n\\end{align*}",
         r"\text{cm}^3", r"\sum_{i=1}^{n} i", r"$$\pi \cdot r^2$$", r"\[ 3 \]", r"90^\circ"]
CJK = "求解方程的值因为所以三角形面积等于中国数学问题答案是多少あいうえおカタカナ日本語한국어수학문제，。：？！（）「」０１２３ㄱㄴ각힣"
EMOJI = ["😀", "🎉", "👩‍👩‍👧", "🇫🇷", "👍🏽", "❤️", "🧮", "➗", "✖️", "🔟", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "ok", "x=", "7"]
SPACE = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\u00a0", "\u2003", "\u3000", "\u200b", "\x0b", "\x0c", "\u2028", " " * 8, "\n \n",
         "\t\t  ", "\x85", "\u180e", "\ufeff", "\x1c", "\x00", "a", "b1", "!", "word", "12", "▁", "▁▁x", "'s", "é"]
RARE = ["é", "e\u0301", "a\u0323\u0302", "a\u0302\u0323", "\u0301", "q\u0307\u0323", "ñ", "ß", "ﬁ", "Å", "\u212b", "Ω", "\u2126", "π", "∑", "√", "≤",
        "\u2260", "=\u0338", "∞", "→", "½", "²", "₂", "Ⅳ", "ﷺ", "ا", "بْ", "שׁ", "\ufb2a", "हिन्दी", "\u0958", "ไทยน้ำ", "ő", "İ", "ı", "Ǆ", "ſ", "'ſ", "\u0345",
        "𝒙", "𝟙", "٣", "①", "ª", "ʼ", "’s", "“", "”", "–", "—", "…", "\ufffd", "\u00ad", "\u200d", "\u1100\u1161\u11a8", "가\u11a8", "\U0001d15e", "ỗ", "\u0b47\u0b3e",
        " ", "a", "1", "'s", "'LL", "<0x0A>", "ŋ", "𐍈", "Ꙁ", "ꙮ", "\U0001f9ff", "🫠", "\ue000", "ഩ൯"]
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_start|>user\n", "<|im_end|>\n", "<|im_start", "im_end|>", "<s>", "</s>", "<unk>",
         "<repo_name>", "<think>", "</think>", "<|fim_prefix|>", "<|vision_start|>", "<s", "[INST]", "hello", " ", "\n", "12", "x", "  "]


def varied(n=2000):
    r = random.Random(20241216)
    out = ["", " ", "\n", "a", "'", "'s", "  a", "a  ", "\u0301"]

    def mix(parts, seps, low, high):
        return "".join(r.choice(parts) + r.choice(seps) for _ in range(r.randint(low, high)))

    def number():
        return r.choice([str(r.randint(0, 10 ** r.randint(1, 9))), f"{r.random() * 100:.3f}", f"{r.randint(1000, 9999999):,}", f"${r.randint(1, 999)}",
                         f"{r.randint(1, 9)}/{r.randint(1, 9)}", "x", "(a+b)", "<<3*4=12>>"])

    def any_char():
        while True:
            c = chr(r.choice([r.randint(32, 0x2FF), r.randint(0x300, 0xFFFF), r.randint(0x10000, 0x1FFFF), r.randint(0, 0x10FFFF)]))
            if unicodedata.category(c) not in ("Cs", "Cn"):
                return c

    kinds = [
        lambda: mix([number() for _ in range(12)], [" ", " + ", " - ", "*", " = ", "=", "%", "\n", ". "], 1, 25),
        lambda: mix(LATEX, ["", " ", "\n", " = "], 1, 8),
        lambda: mix(WORDS, [" ", " ", " ", "  ", ", ", ".\n", "\n\n", "! "], 1, 40),
        lambda: mix(CJK, ["", "", "", "", " ", "a", "3"], 1, 40),
        lambda: mix(EMOJI, ["", " "], 1, 12),
        lambda: mix(SPACE, [""], 1, 20),
        lambda: mix(RARE, ["", "", " "], 1, 25),
        lambda: mix(MARKS, [""], 1, 10),
        lambda: "".join(any_char() for _ in range(r.randint(1, 12))),
        lambda: mix(WORDS + RARE + SPACE + MARKS, ["", " "], 1, 30),
    ]
    while len(out) < n - 2:
        out.append(kinds[len(out) % len(kinds)]())
    out.append(" ".join(out[:400]))  # long texts
    out.append(re.sub(r"\s", "", out[-1])[:6000] + "a" * 300 + " " * 300)
    return out
