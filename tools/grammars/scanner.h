/*
 * scanner.h - the scanner of TypeScript's grammars, which their published package leaves out.
 *
 * Its first eight tokens are those of JavaScript's scanner, which is published: that one is
 * included and does most of the work. TypeScript differs in where a line end may stand for a
 * semicolon, because a '(', '[' or '{' on the next line can go on with a type, and in what a '?' is. build.sh puts this file and
 * JavaScript's scanner (javascript_scanner.c) where TypeScript's sources look for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define tree_sitter_javascript_external_scanner_create javascript_create
#define tree_sitter_javascript_external_scanner_destroy javascript_destroy
#define tree_sitter_javascript_external_scanner_serialize javascript_serialize
#define tree_sitter_javascript_external_scanner_deserialize javascript_deserialize
#define tree_sitter_javascript_external_scanner_scan javascript_scan
#include "javascript_scanner.c"

#define SIGNATURE_SEMICOLON (JSX_TEXT + 1) /* after the head of a function without a body */

/* Past white space and comments; false at a '/' that begins no comment. */
static bool semicolon_skip(TSLexer *lexer, bool *comment)
{
    return scan_whitespace_and_comments(lexer, comment, true) != REJECT;
}

/* The word ahead is `in` or `instanceof`: an expression goes on. */
static bool semicolon_operator_word(TSLexer *lexer)
{
    static const char rest[] = "stanceof";
    skip(lexer);
    if (lexer->lookahead != 'n')
        return false;
    skip(lexer);
    for (unsigned i = 0; rest[i] && lexer->lookahead == rest[i]; i++) {
        skip(lexer);
        if (!rest[i + 1])
            return !iswalnum((wint_t)lexer->lookahead);
    }
    return !iswalnum((wint_t)lexer->lookahead);
}

/* valid[LOGICAL_OR]: an expression may go on here, so this is no type. */
static bool semicolon_scan(TSLexer *lexer, const bool *valid, bool *comment)
{
    lexer->result_symbol = AUTOMATIC_SEMICOLON;
    lexer->mark_end(lexer);
    for (bool line_end = false; !line_end;) {
        if (lexer->lookahead == 0)
            return true;
        if (lexer->lookahead == '/') {
            const WhitespaceResult r = scan_whitespace_and_comments(lexer, comment, false);
            if (r == REJECT)
                return false;
            if (r == ACCEPT && !valid[LOGICAL_OR] && lexer->lookahead != ',' &&
                lexer->lookahead != '=')
                return true;
        }
        if (lexer->lookahead == '}') { /* of a pattern with a type: "({ a }: T) => ..." */
            do
                skip(lexer);
            while (iswspace((wint_t)lexer->lookahead));
            return lexer->lookahead != ':' || valid[LOGICAL_OR];
        }
        line_end =
            lexer->lookahead == '\n' || lexer->lookahead == 0x2028 || lexer->lookahead == 0x2029;
        if (!line_end && !iswspace((wint_t)lexer->lookahead))
            return false;
        skip(lexer);
    }
    if (!semicolon_skip(lexer, comment))
        return false;
    switch (lexer->lookahead) {
    case '`':
    case ',':
    case '.':
    case ';':
    case ':':
    case '*':
    case '%':
    case '<':
    case '>':
    case '=':
    case '?':
    case '^':
    case '|':
    case '&':
    case '/':
        return false;
    case '{':
        return !valid[SIGNATURE_SEMICOLON];
    case '(':
    case '[':
        return !valid[LOGICAL_OR];
    case '+':
    case '-': { /* "++" and "--" begin a statement */
        const int32_t sign = lexer->lookahead;
        skip(lexer);
        return lexer->lookahead == sign;
    }
    case '!':
        skip(lexer);
        return lexer->lookahead != '=';
    case 'i':
        return !semicolon_operator_word(lexer);
    default:
        return true;
    }
}

/* The '?' of a conditional expression: not of "?.", "??", or of an optional "x?: T", "x?)", "x?,". */
static bool question_scan(TSLexer *lexer)
{
    while (iswspace((wint_t)lexer->lookahead))
        skip(lexer);
    if (lexer->lookahead != '?')
        return false;
    advance(lexer);
    if (lexer->lookahead == '?')
        return false;
    lexer->mark_end(lexer);
    lexer->result_symbol = TERNARY_QMARK;
    if (lexer->lookahead == '.') { /* "a ?.5 : b" */
        advance(lexer);
        return iswdigit((wint_t)lexer->lookahead);
    }
    while (iswspace((wint_t)lexer->lookahead))
        advance(lexer);
    return lexer->lookahead != ':' && lexer->lookahead != ')' && lexer->lookahead != ',';
}

static inline bool external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid)
{
    bool comment = false;
    (void)payload;
    if (valid[TEMPLATE_CHARS]) /* all are valid after an error: then nothing is certain */
        return !valid[AUTOMATIC_SEMICOLON] && scan_template_chars(lexer);
    if (valid[JSX_TEXT] && scan_jsx_text(lexer))
        return true;
    if (valid[AUTOMATIC_SEMICOLON] || valid[SIGNATURE_SEMICOLON]) {
        if (semicolon_scan(lexer, valid, &comment))
            return true;
        return !comment && valid[TERNARY_QMARK] && lexer->lookahead == '?' && question_scan(lexer);
    }
    if (valid[TERNARY_QMARK])
        return question_scan(lexer);
    return valid[HTML_COMMENT] && !valid[LOGICAL_OR] && !valid[ESCAPE_SEQUENCE] &&
           !valid[REGEX_PATTERN] && scan_html_comment(lexer);
}
