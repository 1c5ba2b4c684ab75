#!/usr/bin/env python3
"""Small templates of our own and what Jinja, set up as transformers sets it up, makes of them: ../jinja.jsonl.

usage: jinja.py     (pip: transformers jinja2)"""
import json
import pathlib

from transformers.utils.chat_template_utils import _compile_jinja_template

MESSAGES = [{"role": "system", "content": " Be brief.\n"}, {"role": "user", "content": "Is 2 < 3 & \"why\"?"}, {"role": "assistant", "content": "Yes – ça va 😀"}]

# one template to a block, blocks divided by lines of %%%
TEMPLATES = r'''
{% for m in messages %}{{ m.role }}: {{ m['content'] }}
{% endfor %}
%%%
{%- for m in messages -%}
  {{- m.role }}
  {{ loop.index }}/{{ loop.length }} {{ loop.first }} {{ loop.last }} {{ loop.revindex0 }}
{% endfor %}
end
%%%
  {% if add_generation_prompt %}
  yes
  {% else %}
  no
  {% endif %}
tail
%%%
a {%+ if true %} b {% endif +%}
c
%%%
x {#- comment -#}   y {# z #}
  {# alone #}
w
%%%
{% raw %}{{ not }} {% if %}{% endraw %}
after {%- raw -%}  {%+ x %} {%- endraw -%}  end
%%%
{{ "a\n\t\"b\" \\ \x41 é \u00e9 \q" }} {{ 'it''s' "joined" }}
%%%
{{ {'a': {'b': [1, 2.5, none, true, 'x"y', "it's"]}} }} {{ (1,) }} {{ () }} {{ [1, 2][0] }} {{ {'k': 1}.k }}
%%%
{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 + 3 * 4 - 1 }} {{ 1 ~ 'a' ~ none ~ 2.0 }} {{ -2 ** 2 }} {{ 1e3 }} {{ 1_000 }} {{ 0.1 + 0.2 }} {{ 1e22 }} {{ 1.5e-7 }}
%%%
{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 'a' in 'cat' }} {{ 'z' not in 'cat' }} {{ not 1 == 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 1 }} {{ [1, [2]] == [1, [2]] }}
%%%
{{ 'yes' if 1 else 'no' }}|{{ 'yes' if 0 }}|{{ 'a' or 'b' }}|{{ '' and 'b' }}|{{ none or false }}
%%%
{{ undefined_name }}|{{ undefined_name is defined }}|{{ messages[9] is defined }}|{{ messages[0].nothing is undefined }}|{{ tools is defined }}|{{ tools is none }}|{{ undefined_name | default('d') }}|{{ none | default('d') }}|{{ '' | default('d', true) }}
%%%
{{ undefined_name.attribute }}
%%%
{{ 'a' + undefined_name }}
%%%
{{ 'a' + 1 }}
%%%
{{ [1] + 'a' }}
%%%
{{ 1 / 0 }}
%%%
{{ undefined_name() }}
%%%
{{ messages[0].role.nothing.more }}
%%%
{% for x in none %}{% endfor %}
%%%
{% for x in undefined_name %}x{% else %}empty{% endfor %}
%%%
{{ raise_exception('refused: ' ~ messages[0].role) }}
%%%
{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}
%%%
{% set ns = namespace(n=0, last='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set ns.last = m.role %}{% endfor %}{{ ns.n }} {{ ns.last }} {{ ns.none is defined }}
%%%
{% set x.y = 1 %}
%%%
{% set text %}one {{ 1 + 1 }}
{% endset %}[{{ text }}]{% set a, b = [1, 2] %}{{ b }}{{ a }}{% set up | upper %}low{% endset %}{{ up }}
%%%
{% set a, b = [1, 2, 3] %}
%%%
{% if true %}{% set inside = 5 %}{% endif %}{{ inside }}
%%%
{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ m.role }}{{ loop.previtem.role }}|{{ loop.nextitem.role }} {% endfor %}
%%%
{% for m in messages %}{% if loop.index == 2 %}{% continue %}{% endif %}{{ m.role }}{% if loop.last %}{% break %}{% endif %},{% endfor %}
%%%
{% for k, v in {'a': 1, 'b': [2]}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'a': 1} %}{{ k }}{% endfor %}{% for c in 'héy' %}<{{ c }}>{% endfor %}
%%%
{% for i in range(3) %}{{ i }}{% endfor %}{{ range(1, 10, 3) | list }}{{ range(5, 0, -2) | list }}{{ range(0) | length }}
%%%
{{ range(1000000) }}
%%%
{% for a in [[1, [2, [3]]]] recursive %}{{ a if a is number else loop(a) }}{% if not loop.last %}.{% endif %}{% endfor %}
%%%
{% for i in [1, 1, 2] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i) }}{{ loop.depth }}{% endfor %}
%%%
{{ messages[-1].role }} {{ messages[1:] | length }} {{ messages[::-1][0].role }} {{ 'abcdef'[1:-1:2] }} {{ 'abc'[-1] }} {{ 'abc'[::-1] }} {{ [1, 2, 3][:2] }} {{ [1, 2, 3][5:] }} {{ (1, 2, 3)[1:] }}
%%%
{{ messages | map(attribute='role') | join(', ') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'in', ['user']) | map(attribute='role') | list }} {{ [1, 2, 3] | select('odd') | list }} {{ [0, 1, ''] | reject | list }} {{ ['a', 'B'] | map('upper') | list }}
%%%
{{ '  pad ' | trim }}|{{ 'xxaxx'.strip('x') }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'a,b,,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a b c d'.split(' ', 2) }}|{{ 'a b c d'.rsplit(' ', 1) }}|{{ ' a  b c '.split(none, 1) }}|{{ ' a  b c '.rsplit(none, 1) }}
%%%
{{ 'Hello'.upper() }} {{ 'Hello'.lower() }} {{ 'hello world'.title() }} {{ "they're bill's" | title }} {{ 'hELLO' | capitalize }} {{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'aXbXc'.replace('X', '-', 1) }} {{ 'aXbXc' | replace('X', '') }} {{ '-'.join(['a', 'b']) }} {{ 'abcabc'.find('c') }} {{ 'éb'.find('b') }} {{ 'abcabc'.rfind('c') }} {{ 'banana'.count('a') }} {{ '12'.isdigit() }} {{ 'prefix-x'.removeprefix('prefix-') }}
%%%
{{ "l1\nl2\r\nl3\n".splitlines() }} {{ "a\n\nb" | indent }}| {{ "a\n\nb" | indent(2, true) }} | {{ "a\n\nb" | indent(width=3, first=false, blank=true) }}
%%%
{{ {'a': 1, 'b': {'c': 2}}.get('a') }} {{ {'a': 1}.get('z') }} {{ {'a': 1}.get('z', 'dflt') }} {{ {'a': 1, 'b': 2}.keys() | list }} {{ {'a': 1, 'b': 2}.values() | list }} {{ {'items': 5}['items'] }} {{ {'b': 1, 'a': 2} | dictsort }} {{ {'a': 1} | items | list }}
%%%
{{ messages | tojson }} {{ {'a': [1, 2.0, none, true], 'é': "q\"\n\t\u0001<>&'"} | tojson }} {{ [] | tojson }} {{ 'x' | tojson }}
%%%
{{ {'a': [1, {'b': []}], 'c': {}} | tojson(indent=2) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}
%%%
{{ undefined_name | tojson }}
%%%
{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A', 'c'] | sort(case_sensitive=true) }} {{ [3, 1] | sort(reverse=true) }} {{ messages | sort(attribute='role') | map(attribute='role') | join }} {{ [1, 2, 1] | unique | list }} {{ [1, 2, 3] | sum }} {{ [1, 2] | min }} {{ [1, 2] | max }} {{ [1, 2, 3] | reverse | list }} {{ 'abc' | reverse }} {{ [1, 2] | first }} {{ [1, 2] | last }} {{ [] | first }}
%%%
{{ '42' | int + 1 }} {{ 'x' | int(7) }} {{ '3.9' | int }} {{ 3.9 | int }} {{ '2.5' | float }} {{ 2.567 | round(1) }} {{ -3 | abs }} {{ 42 | string ~ '!' }} {{ [1, 'a'] | string }} {{ 'abc' | list }} {{ 'abc' | length }} {{ {'a': 1} | count }} {{ '<a href="x">' | e }} {{ 3 | float }}
%%%
{{ 1 is number }} {{ true is integer }} {{ 1.0 is float }} {{ 'a' is string }} {{ [] is sequence }} {{ {} is mapping }} {{ 'a' is iterable }} {{ none is none }} {{ 1 is odd }} {{ 4 is divisibleby 2 }} {{ 3 is not even }} {{ false is false }} {{ 0 is false }} {{ 'a' is in 'abc' }} {{ 1 is eq 1 }} {{ true is boolean }} {{ 1 is sameas 1 }} {{ range is callable }} {{ 'ab' is lower }}
%%%
{% macro greet(name, mark='!', n=2) %}Hi {{ name }}{{ mark * n }}{% endmacro %}{{ greet('Al') }} {{ greet('Bo', n=1) }} {{ greet(mark='?', name='Cy') }} [{{ greet() }}]
%%%
{% macro fact(n) %}{{ n * (fact(n - 1) | int) if n > 1 else 1 }}{% endmacro %}{{ fact(5) }}
%%%
{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}
%%%
{% set g = 'outer' %}{% macro show() %}{{ g }}{% set g = 'inner' %}{% endmacro %}{{ show() }}{{ g }}
%%%
{% filter upper %}some {{ 'text' }}{% endfilter %}
%%%
{% generation %}said{% endgeneration %}
%%%
{{ bos_token }}{{ messages[0]['content'] | trim + '<eot>' }}{{ eos_token if eos_token is defined else '' }}
%%%
{%- set loop_messages = messages %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set system = '' %}
{%- endif %}
{{- '<sys>' + system + '</sys>\n' }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {{- '<' ~ message.role ~ '>' ~ message.content }}
{%- endfor %}

%%%
{{ 'a' 'b' | upper }}{{ ('a' ~ 'b') | upper }}{{ 'x' is string and 'y' is string }}{{ 1 + 2 | string | length }}
%%%
{% if a is not defined or not a %}1{% elif true %}2{% else %}3{% endif %}{% if false %}1{% elif 1 > 2 %}2{% elif 2 > 1 %}three{% endif %}
%%%
{% unknown %}
%%%
{{ 1 | unknown_filter }}
%%%
{{ 1 is unknown_test }}
%%%
{% if true %}
%%%
{{ 'open }}
%%%
{{ (1 }}
%%%
{{ }}
%%%
{{ messages.0.role }} {{ messages[0]["role"][0] }} {{ [[1, 2], [3]][0][1] }} {{ {"a-b": 1}["a-b"] }}
%%%
{{ strftime_now('%Y') | length }} {{ strftime_now('%d %b %Y') | length > 9 }}
%%%
{{- "\n" }}line{{ "\n" -}}

   next
{{+ 1 }}
%%%
{% for m in messages %}
	{% if m.role == 'user' -%}
	U
	{%- endif %}
  {% set z = 1 %}
{% endfor %}
.
%%%
{{ dict(a=1, b='x') }} {{ namespace(a=1).a }} {{ [1, 2, 3] | map('string') | join('+') }} {{ [{'n': {'m': 1}}] | map(attribute='n.m') | list }} {{ [[1, 'x']] | map(attribute=1) | list }} {{ [{'a': 1}, {}] | map(attribute='a', default=0) | list }}
%%%
{{ none }} {{ true }} {{ [none, undefined_name] }} {{ 'tab\tnew\nline' | string }} {{ ['tab\tnew\nline\\', 'é\x07'] }}
%%%
{{ 'abc' < 'abd' }} {{ [1, 2] < [1, 3] }} {{ 'a' * 3 }} {{ 'ab' ~ 1.50 }}
%%%
{{ 'a' < 1 }}
%%%
{{ 1 in 'abc' }}
%%%
{{ 3 | round }} {{ 3 * 'ab' }} {{ 2.5 is even }} {{ 5[1:] is defined }} {{ 'a' if none is not none else 'b' }}
%%%
a
  {% raw %}
  {{ kept }}
  {% endraw %}
b
%%%
{% if 1 if 2 else 3 %}{% endif %}
%%%
{{ 1 is defined is true }}
%%%
{{ [1] | indent }}
%%%
{{ undefined_name | float }}
%%%
{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{{ loop.index }}{% else %}none{% endfor %}{% for x in [] %}{% else %}none{% endfor %}
%%%
{{ messages[0].content.strip().split(' ')[-1] }}{{ "x".__class__ }}
'''


def main():
    out = pathlib.Path(__file__).parent.parent / "jinja.jsonl"
    with open(out, "w", encoding="utf-8") as f:
        for source in TEMPLATES.removeprefix("\n").split("%%%\n"):
            row = {"template": source}
            try:
                row["text"] = _compile_jinja_template(source).render(messages=MESSAGES, add_generation_prompt=True, tools=None, documents=None, bos_token="<s>")
            except Exception as e:
                row["error"] = f"{type(e).__name__}: {e}"
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    print("wrote", out)


if __name__ == "__main__":
    main()
