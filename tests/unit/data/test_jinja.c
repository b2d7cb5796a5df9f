/*
 * test_jinja.c - what Jinja writes, piece by piece. The expected texts are Jinja2's own, with
 * trim_blocks and lstrip_blocks, as transformers runs it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/data/jinja.h"

#include "test.h"

/* What a template writes for three messages, or "! message". */
static char *run(const char *p, size_t n)
{
    static char out[1024];
    static const message m[] = { { ROLE_SYSTEM, { "Be good.", 8 }, false },
                                 { ROLE_USER, { " hi \n", 5 }, false },
                                 { ROLE_ASSISTANT, { "<think>a</think>\nb\xc3\xa9", 20 }, false } };
    const jinja_input in = { m, 3, true, "<s>", "</s>", NULL, "26 Jul 2024" };
    text t = { 0 };
    jinja *j = NULL;
    hone_error err = { 0 };
    hone_status st = jinja_parse(&j, p, n, "t", &err);
    if (!st)
        st = jinja_render(j, &in, &t, &err);
    if (st)
        (void)snprintf(out, sizeof out, "! %d %s", st, err.message);
    else
        (void)snprintf(out, sizeof out, "%s", t.p ? t.p : "");
    CHECK(!st || !t.n);
    jinja_free(j);
    text_finish(&t);
    return out;
}

typedef struct example {
    const char *in, *want;
} example;

static void check(const example *e, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK_STR(run(e[i].in, strlen(e[i].in)), e[i].want);
}

#define CHECK_ALL(table) check(table, sizeof(table) / sizeof *(table))

static void test_jinja__white_space_around_tags(void)
{
    static const example cases[] = {
        { "a\n", "a" },
        { "a\n\n", "a\n" },
        { "a\r\nb\rc", "a\nb\nc" },
        { "  {% if true %}\n  x\n  {% endif %}\ny", "  x\ny" },
        { "z  {% if true %}\nx{% endif %}", "z  x" },
        { "  {%+ if true %}x{% endif %}", "  x" },
        { "{% if true +%}\nx{% endif %}", "\nx" },
        { "a \n {%- if true -%} \n x \n {%- endif -%} \n b", "axb" },
        { "a \n {{- 'x' -}} \n b", "axb" },
        { "  {{ 'x' }}\n  y", "  x\n  y" },
        { "a {# c #}\n b", "a  b" },
        { "a\n  {# c #}\nb", "a\nb" },
        { "a {#- c -#} b", "ab" },
        { "\xc2\xa0{%- if true %}x{% endif %}", "x" },
        { "{{ '}}' }}{{ {'a': {'b': 1}}['a']['b'] }}", "}}1" },
        { "{ {% if true %}%}{% endif %}", "{ %}" },
    };
    CHECK_ALL(cases);
}

static void test_jinja__expressions(void)
{
    static const example cases[] = {
        { "{{ 'a' + 'b' | upper + 'c' }}", "aBc" },
        { "{{ 1 + 2 * 3 - 4 // 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }}", "6 -4 2 -2" },
        { "{{ 1 ~ 2 + 3 }}", "! -4 t: a text and a number cannot be put together" },
        { "{{ 1 ~ 'a' ~ none ~ true }}", "1aNoneTrue" },
        { "{{ 'a' 'b' \"c\\n\" '\\x41\\u00e9\\'' '\\q' }}", "abc\nA\xc3\xa9'\\q" },
        { "{{ 1 == 1 and not 2 > 3 or false }}", "True" },
        { "{{ ('user' == 'user') != (3 % 2 == 0) }} {{ '' != false }} {{ 0 == false }}",
          "True True True" },
        { "{{ 'x' if false }}|{{ 'x' if false else 'y' if true else 'z' }}", "|y" },
        { "{{ nothing }}|{{ nothing is defined }}|{{ nothing == none }}", "|False|False" },
        { "{{ nothing.x }}", "! -4 t: \"x\" of something undefined" },
        { "{{ 'a' + nothing }}", "! -4 t: a text and undefined cannot be put together" },
        { "{{ messages[0].role }} {{ messages[-1]['role'] }} {{ messages[9] }}",
          "system assistant " },
        { "{{ messages[0].nope is defined }} {{ 'role' in messages[0] }} {{ 'tool_calls' not in "
          "messages[0] }}",
          "False True True" },
        { "{{ messages[1:][0].role }} {{ messages[::-1][0].role }} {{ messages[:1]|length }} {{ "
          "messages[-2:]|length }}",
          "user assistant 1 2" },
        { "{{ messages[2].content[-1] }} {{ messages[2].content|length }} {{ "
          "messages[2].content[17:] }}",
          "\xc3\xa9 19 b\xc3\xa9" },
        { "{{ 'abc'[:-1] }} {{ 'abc'[1:2] }} {{ 'abc'[5:] }}|", "ab b |" },
        { "{{ tools is none }} {{ tools is defined }} {{ documents is not none }}",
          "True True False" },
        { "{{ 'a' is string and 1 is number and [] is iterable and {} is mapping and none is none "
          "}}",
          "True" },
        { "{{ 4 is divisibleby 2 }} {{ 3 is odd }} {{ 'a' is in ['a'] }} {{ 1 is not string }}",
          "True True True True" },
        { "{{ add_generation_prompt is true }} {{ bos_token }}{{ eos_token }}{{ pad_token }}",
          "True <s></s>" },
        { "{{ {'a': 1, 'b': 2}.get('b') }} {{ {'a': 1}.get('z') }} {{ {'a': 1}.z }}|", "2 None |" },
    };
    CHECK_ALL(cases);
}

static void test_jinja__filters_and_methods(void)
{
    static const example cases[] = {
        { "[{{ messages[1].content | trim }}] [{{ messages[1]['content'].strip() }}]",
          "[hi] [hi]" },
        { "[{{ '\\n\\na\\n'.strip('\\n') }}] [{{ ' a '.lstrip() }}] [{{ ' a '.rstrip() }}] [{{ "
          "'xxaxx'|trim('x') }}]",
          "[a] [a ] [ a] [a]" },
        { "{{ messages[2].content.split('</think>')[-1].lstrip('\\n') }}", "b\xc3\xa9" },
        { "{{ messages[2].content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] }}",
          "a" },
        { "{{ 'a,b,,c'.split(',')|join('-') }} {{ ''.split(',')|length }}", "a-b--c 1" },
        { "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'aXbX'.replace('X', 'yy') }}",
          "True True ayybyy" },
        { "{{ 'hello'|capitalize }} {{ 'Ab'.upper() }} {{ 'Ab'|lower }}", "Hello AB ab" },
        { "{{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ "
          "(messages|map(attribute='role')|list)|join(' ') }}",
          "1 system user assistant" },
        { "{{ (messages|rejectattr('role', 'eq', 'user')|first).role }} {{ (messages|last).role }}",
          "system assistant" },
        { "{{ nothing|default('d') }} {{ ''|default('e', true) }} {{ none|default('f') }}",
          "d e None" },
        { "{% for k, v in {'a': 1, 'b': 2}|items %}{{ k }}{{ v }}{% endfor %}", "a1b2" },
        { "{{ ['a', 1, none]|join(',') }}", "a,1,None" },
        { "{{ strftime_now('%d %b %Y') }}", "26 Jul 2024" },
        { "{{ range(3)|join }} {{ range(1, 7, 2)|join(' ') }} {{ range(3, 0, -1)|list|length }}",
          "012 1 3 5 3" },
    };
    CHECK_ALL(cases);
}

static void test_jinja__statements(void)
{
    static const example cases[] = {
        { "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last "
          "}}{{ m.role[0] }};{% endfor %}",
          "10TrueFalses;21FalseFalseu;32FalseTruea;" },
        { "{% for m in messages if m.role != 'user' %}{{ loop.index }}/{{ loop.length }}{{ m.role "
          "}} {% endfor %}",
          "1/2system 2/2assistant " },
        { "{% for m in messages %}{{ loop.previtem.role }}>{{ loop.nextitem.role }};{% endfor %}",
          "! -4 t: \"role\" of something undefined" },
        { "{% for x in [] %}x{% else %}none{% endfor %}", "none" },
        { "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
          "231" },
        { "{% set ns = namespace(x=1) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor "
          "%}{{ ns.x }}",
          "4" },
        { "{% if false %}a{% elif 0 %}b{% elif 1 %}c{% else %}d{% endif %}", "c" },
        { "{% if true %}{% set y = 2 %}{% endif %}{{ y }}", "2" },
        { "{% set z %}a{{ 1 }}{% endset %}[{{ z }}]", "[a1]" },
        { "{% set a, b = [1, 2] %}{{ b }}{{ a }}", "21" },
        { "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break "
          "%}{% endif %}{{ i }}{% endfor %}",
          "02" },
        { "{% for m in messages %}{% generation %}{{ m.role[0] }}{% endgeneration %}{% endfor %}",
          "sua" },
        { "{% macro f(x) %}{{ x }}{% endmacro %}ok", "ok" },
        { "{% set loop_messages = messages[1:] %}{% set messages = messages[1:] %}{{ "
          "messages|length }}",
          "2" },
    };
    CHECK_ALL(cases);
}

static void test_jinja__refuses_by_name(void)
{
    static const example cases[] = {
        { "{{ raise_exception('roles must alternate') }}", "! -4 t: roles must alternate" },
        { "{{ tools|tojson }}", "! -5 t: the filter tojson" },
        { "{{ 'a' is upper }}", "! -5 t: the test upper" },
        { "{{ 'a'.zfill(3) }}", "! -5 t: the method zfill() of text" },
        { "{% macro f() %}{% endmacro %}{{ f() }}", "! -5 t: a call of a macro" },
        { "{% include 'x' %}", "! -5 t: line 1: {% include %}" },
        { "{% call x() %}", "! -5 t: line 1: {% call %}" },
        { "a\n{% if x %}", "! -4 t: line 2: it ends where endif was expected" },
        { "{% for x in y %}{% endif %}", "! -5 t: line 1: {% endif %}" },
        { "{{ 'a }}", "! -4 t: line 1: a string is opened and never closed" },
        { "{{ a", "! -4 t: line 1: a tag is opened and never closed" },
        { "{# a", "! -4 t: line 1: a comment is opened and never closed" },
        { "{{ a b }}", "! -4 t: line 1: \"b\" where \"}}\" was expected" },
        { "{{ }}", "! -4 t: line 1: \"}}\" where a value was expected" },
        { "{{ 1 $ 2 }}", "! -4 t: line 1: an unexpected \"$\"" },
        { "{% set x = 1, %}{% set x.y = 2 %}",
          "! -4 t: line 1: \"%}\" where a value was expected" },
        { "{% set x = 1 %}{% set x.y = 2 %}", "! -4 t: line 1: set of a part of a number" },
        { "{{ strftime_now('%B') }}", "! -5 t: a date as %B" },
        { "{{ [1] }}", "! -5 t: a list written as text" },
        { "{{ 1 // 0 }}", "! -4 t: a division by zero" },
        { "{{ 9223372036854775807 }}", "! -5 t: line 1: the number 9223372036854775807..." },
        { "\xff", "! -4 t: it is not UTF-8" },
    };
    CHECK_ALL(cases);
}

static void test_jinja__has_limits(void)
{
    static const example cases[] = {
        { "{% set l = range(3000) %}{% for a in l %}{% for b in l %}{% endfor %}{% endfor %}",
          "! -7 t: the template takes more than 1000000 steps" },
        { "{% for a in range(99999999) %}{% endfor %}",
          "! -7 t: the template wants more than 67108864 bytes" },
        { "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for a in range(40) %}{% set ns.s = "
          "ns.s + ns.s %}{% endfor %}",
          "! -7 t: the template wants more than 67108864 bytes" },
    };
    static const char *const deep[] = {
        "(", "[", "not ", "-", "{'a':", "x is defined or not ", "a["
    };
    CHECK_ALL(cases);
    for (size_t k = 0; k < sizeof deep / sizeof *deep; k++) {
        text t = { 0 };
        text_puts(&t, "{{ ");
        for (int i = 0; i < 50000; i++)
            text_puts(&t, deep[k]);
        CHECK_STR(run(t.p, t.n), "! -4 t: line 1: a tag is opened and never closed");
        text_puts(&t, "1 }}");
        CHECK_HAS(run(t.p, t.n),
                  *deep[k] == '(' || strchr("[{a", *deep[k]) ? "! -" : "nested deeper than 200");
        text_finish(&t);
    }
    text t = { 0 };
    text_puts(&t, "{{ 1");
    for (int i = 0; i < 50000; i++) /* a chain leans left: as deep as it is long */
        text_puts(&t, " + 1");
    text_puts(&t, " }}");
    CHECK_HAS(run(t.p, t.n), "nested deeper than 200");
    text_clear(&t);
    for (int i = 0; i < 50000; i++)
        text_puts(&t, "{% if 1 %}");
    CHECK_HAS(run(t.p, t.n), "nested deeper than 200");
    text_clear(&t);
    text_puts(&t, "{% if 0 %}");
    for (int i = 0; i < 50000; i++) /* a ladder is long, not deep */
        text_puts(&t, "{% elif 0 %}");
    text_puts(&t, "{% else %}ok{% endif %}");
    CHECK_STR(run(t.p, t.n), "ok");
    text_finish(&t);
}

int main(void)
{
    RUN(test_jinja__white_space_around_tags);
    RUN(test_jinja__expressions);
    RUN(test_jinja__filters_and_methods);
    RUN(test_jinja__statements);
    RUN(test_jinja__refuses_by_name);
    RUN(test_jinja__has_limits);
    return TEST_EXIT();
}
