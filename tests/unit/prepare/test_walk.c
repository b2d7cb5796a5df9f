/*
 * test_walk.c - what git ignores, held against git itself; links, odd files, order.
 *
 * Trees and patterns are drawn at random from names and marks that collide often; every other
 * repository holds a dozen trees below folders of their own, so that git is started less often.
 * HONE_TEST_SEED draws others, HONE_TEST_TREES says how many repositories. Without git the comparison is
 * left out; if the fixed cases pass, the test is "skipped".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/prepare/ignore.h"
#include "core/prepare/walk.h"
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREES 6  /* repositories: a few processes each */
#define GROVE 12 /* trees in one */
#define FILES 40

static char *dir; /* the folder of the tests */
static uint64_t seed = 20261123, drawn;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_u64(seed, 0, drawn++) % below);
}

/* -------------------------------------------------------------------- what walk says */

typedef struct seen {
    text files; /* a line each, from the root of the walk */
    text left;
    size_t skip; /* bytes of the root and its slash */
    int n_left[LEFT_REASONS];
} seen;

static hone_status on_file(void *ctx, const char *path, uint64_t size, hone_error *err)
{
    seen *s = ctx;
    (void)size;
    (void)err;
    text_printf(&s->files, "%s\n", path + s->skip);
    return HONE_OK;
}

static hone_status on_left(void *ctx, const char *path, left_out why, const char *said,
                           hone_error *err)
{
    seen *s = ctx;
    (void)err;
    s->n_left[why]++;
    text_printf(&s->left, "%s: %s\n", path + s->skip, said);
    return HONE_OK;
}

static seen see(const char *root, bool gitignore, bool hidden)
{
    char own[4096];
    (void)snprintf(own, sizeof own, "%s/results", dir);
    const char *const folders[] = { NULL, own };
    const walk_rules rules = { gitignore, hidden, folders, 2 };
    const walk_events events = { on_file, on_left };
    seen s = { .skip = strlen(root) + 1 };
    hone_error err = { 0 };
    CHECK_OK(walk(root, &rules, &events, &s, &err), err);
    text_puts(&s.files, "");
    text_puts(&s.left, "");
    return s;
}

static void forget(seen *s)
{
    text_finish(&s->files);
    text_finish(&s->left);
}

static void put(const char *name, const char *bytes, size_t n)
{
    hone_error err = { 0 };
    char *path = path_join(dir, name), *above = path_dir(path);
    if (!dir_make(above, &err) && !path_is_dir(path))
        (void)!file_write(path, bytes, n,
                          &err); /* "a" may be a folder and a file: the first wins */
    free(above);
    free(path);
}

static void begin(void)
{
    char name[] = "/tmp/hone-walk-XXXXXX";
    dir = realpath(mkdtemp(name), NULL);
}

static void end(void)
{
    hone_error err = { 0 };
    CHECK_OK(dir_remove(dir, &err), err);
    free(dir);
}

/* -------------------------------------------------------------------- against git */

static bool have_git(void)
{
    return system("git --version >/dev/null 2>&1") == 0;
}

static int in_dir(const char *command)
{
    text t = { 0 };
    text_printf(&t, "cd '%s' && %s", dir, command);
    const int code = t.p ? system(t.p) : 1;
    text_finish(&t);
    return code;
}

static const char *const names[] = { "a",  "b",        "ab",  "abc", "A",   "aB",    "a b", "b ",
                                     "[a", "a]",       "a-b", "*",   "a*b", "\\",    "\\b", "foo.c",
                                     ".x", "\xc3\xa9", "!a",  "#b",  "a?",  "build", "x.o", "-" };
#define N_NAMES (sizeof names / sizeof names[0])

static const char *const marks[] = { "*",
                                     "**",
                                     "?",
                                     "/",
                                     "**/",
                                     "/**",
                                     "[ab]",
                                     "[!a]",
                                     "[^b]",
                                     "[a-c]",
                                     "[]a]",
                                     "[]-a]",
                                     "[[:alpha:]]",
                                     "[[:upper:]b]",
                                     "[[:nope:]]",
                                     "[a",
                                     "\\",
                                     "\\a",
                                     "\\*",
                                     " ",
                                     "\\ ",
                                     "!",
                                     "#",
                                     "a",
                                     "b",
                                     "A",
                                     "-",
                                     "[\\]]",
                                     "[[a]",
                                     "[!]a]",
                                     "\t",
                                     "\r",
                                     "/**/",
                                     "*.o",
                                     "[A-C]",
                                     "[a-\\c]",
                                     "[/]",
                                     "[!/a]",
                                     "[a/b]",
                                     "[+-0]",
                                     "[b-]",
                                     "[--a]",
                                     "[[:digit:][:space:]]",
                                     "[![:alpha:]]",
                                     "[[:alpha:]-z]",
                                     "[[:]",
                                     "[a-",
                                     "[\\",
                                     "[^]",
                                     "[!-a]",
                                     "[]",
                                     "***",
                                     "/***/",
                                     "**/*",
                                     "*/**",
                                     "\\/",
                                     "\\/**",
                                     "**\\/",
                                     "?*",
                                     "*?",
                                     "\\\\",
                                     "\\ \\ ",
                                     "  ",
                                     "\\!",
                                     "\\#",
                                     "../",
                                     "./",
                                     "//",
                                     "{a,b}",
                                     "[[:xdigit:]]?",
                                     "[[.a.]]",
                                     "[[=a=]]",
                                     "[z-a]",
                                     "[a-a-z]",
                                     "[\xc3\xa9]",
                                     "/*" };
#define N_MARKS (sizeof marks / sizeof marks[0])

static void draw_path(text *t)
{
    const uint32_t depth = draw(4);
    for (uint32_t i = 0; i < depth; i++)
        text_printf(t, "%s/", names[draw(N_NAMES)]);
    text_puts(t, names[draw(N_NAMES)]);
}

static void draw_pattern(text *t)
{
    if (draw(4) == 0)
        text_puts(t, "!");
    if (draw(3) == 0)
        text_puts(t, "/");
    for (uint32_t i = 0, n = 1 + draw(5); i < n; i++)
        text_puts(t, draw(2) ? marks[draw(N_MARKS)] : names[draw(N_NAMES)]);
    if (draw(4) == 0)
        text_puts(t, "/");
    if (draw(8) == 0)
        text_puts(t, marks[draw(N_MARKS)]);
    text_puts(t, draw(8) ? "\n" : "\r\n");
}

/* below: "" or a folder and a slash. */
static void draw_tree(const char *below)
{
    text t = { 0 };
    for (int i = 0; i < FILES; i++) {
        text_clear(&t);
        text_puts(&t, below);
        draw_path(&t);
        put(t.p, "x", 1);
    }
    for (uint32_t i = 0, n = 1 + draw(3); i < n; i++) {
        text where = { 0 };
        text_puts(&where, below);
        if (i) {
            draw_path(&where);
            text_puts(&where, "/");
        }
        text_puts(&where, ".gitignore");
        text_clear(&t);
        if (draw(8) == 0)
            text_puts(&t, "\xef\xbb\xbf");
        for (uint32_t k = 0, lines = 1 + draw(6); k < lines; k++)
            draw_pattern(&t);
        if (draw(6) == 0)
            t.n--; /* no newline at the end */
        put(where.p, t.p, t.n);
        text_finish(&where);
    }
    text_clear(&t);
    if (!*below && draw(2)) {
        draw_pattern(&t);
        put(".git/info/exclude", t.p, t.n);
    }
    text_finish(&t);
}

static int by_line(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lines of t in order of their bytes, so that two lists can be compared. */
static char *sorted(const char *p)
{
    char *copy = mem_strdup(p ? p : ""), **lines = mem_new(strlen(copy) + 1, sizeof *lines);
    size_t n = 0;
    for (char *at = strtok(copy, "\n"); at; at = strtok(NULL, "\n"))
        lines[n++] = at;
    qsort(lines, n, sizeof *lines, by_line);
    text t = { 0 };
    for (size_t i = 0; i < n; i++)
        text_printf(&t, "%s\n", lines[i]);
    text_puts(&t, "");
    free(copy);
    free(lines);
    return t.p;
}

/* All files but those that git check-ignore names, and those that git tracks. (check-ignore alone
 * takes names for patterns when it looks at what is tracked; and with core.ignorecase git may track a name
 * that no file has.) */
static char *ask_git(const char *fold)
{
    text command = { 0 };
    char *said = NULL, *path = path_join(dir, ".git/answer");
    hone_error err = { 0 };
    text_printf(
        &command,
        "find . -path ./.git -prune -o -type f -print0 | sed -z 's,^\\./,,' | sort -z >.git/all && "
        "{ git -c core.ignorecase=%s -c core.excludesFile= check-ignore --no-index -z --stdin "
        "<.git/all >.git/no 2>.git/why; [ $? -le 1 ]; } && "
        "{ sort -z .git/no | comm -z -23 .git/all - && git ls-files -z | sort -z | comm -z -12 "
        ".git/all -; } | sort -zu | "
        "tr '\\0' '\\n' >.git/answer",
        fold);
    CHECK(in_dir(command.p) == 0);
    CHECK_OK(file_read(&said, NULL, path, 1 << 20, &err), err);
    text_finish(&command);
    free(path);
    return said;
}

/* Lines of a that b lacks. */
static void show_missing(const char *what, const char *a, const char *b)
{
    text line = { 0 };
    for (const char *end; (end = strchr(a, '\n')); a = end + 1) {
        text_clear(&line);
        text_add(&line, a, (size_t)(end + 1 - a));
        const char *at = strstr(b, line.p);
        while (at && at != b && at[-1] != '\n')
            at = strstr(at + 1, line.p);
        if (!at)
            fprintf(stderr, "%s %s", what, line.p);
    }
    text_finish(&line);
}

static void compare(const char *fold, int tree)
{
    char *said = ask_git(fold), *want = sorted(said);
    seen s = see(dir, true, true);
    char *got = sorted(s.files.p);
    const bool as_git = strcmp(got, want) == 0;
    CHECK(as_git);
    if (!as_git) {
        show_missing("git does not ignore", want, got);
        show_missing("git ignores", got, want);
        fprintf(stderr, "tree %d, ignorecase %s: the patterns were\n", tree, fold);
        (void)in_dir(
            "find . -name .gitignore -exec sh -c 'echo \"{}:\"; cat -A \"{}\"' \\; >&2; cat -A "
            ".git/info/exclude >&2");
    }
    free(got);
    free(want);
    free(said);
    forget(&s);
}

static void test_walk__ignores_what_git_ignores(void)
{
    const char *own = getenv("HONE_TEST_TREES");
    const int trees = own ? atoi(own) : TREES;
    for (int i = 0; i < trees && test_failures < 3; i++) {
        const char *fold = draw(4) ? "false" : "true";
        text t = { 0 };
        begin();
        CHECK(in_dir("git init -q . 2>/dev/null") == 0);
        for (int k = 0; k < GROVE && i % 2; k++) {
            char below[16];
            (void)snprintf(below, sizeof below, "t%d/", k);
            draw_tree(below);
        }
        if (i % 2 == 0)
            draw_tree("");
        text_printf(&t, "git config core.ignorecase %s", fold);
        CHECK(in_dir(t.p) == 0);
        compare(fold, i);
        if (i % 3 == 0) { /* some files are tracked, though they may be ignored */
            text_clear(&t);
            text_printf(
                &t,
                "git config index.version %d; find . -path ./.git -prune -o -type f -name '*%s*' "
                "-print0 | xargs -0 -r git add -f -- 2>/dev/null; true",
                2 + i % 2 * 2, names[draw(4)]);
            CHECK(in_dir(t.p) == 0);
            compare(fold, i);
        }
        text_finish(&t);
        end();
    }
}

/* -------------------------------------------------------------------- fixed cases */

/* Files a walk finds with these patterns; patterns as the bytes of .gitignore. */
static void check_tree(const char *patterns, const char *const *files, const char *want)
{
    begin();
    for (; *files; files++)
        put(*files, "x", 1);
    put(".gitignore", patterns, strlen(patterns));
    seen s = see(dir, true, false);
    CHECK_STR(s.files.p, want);
    forget(&s);
    end();
}

static void test_walk__patterns(void)
{
    static const char *const files[] = { "a.o",      "b.c", "d/a.o",   "d/e/x",
                                         "d/keep.o", "x",   "build/y", NULL };
    check_tree("*.o\n", files, "b.c\nbuild/y\nd/e/x\nx\n");
    check_tree("/*.o\n", files, "b.c\nbuild/y\nd/a.o\nd/e/x\nd/keep.o\nx\n");
    check_tree("*.o\r\n/x\r", files, "b.c\nbuild/y\nd/e/x\n"); /* CR at the end of the file too */
    check_tree("*.o\n!keep.o\n", files, "b.c\nbuild/y\nd/e/x\nd/keep.o\nx\n");
    check_tree("d/\n!d/keep.o\n", files, "a.o\nb.c\nbuild/y\nx\n");
    check_tree("x/\n", files, "a.o\nb.c\nbuild/y\nd/a.o\nd/e/x\nd/keep.o\nx\n");
    check_tree("d/**/x\n", files, "a.o\nb.c\nbuild/y\nd/a.o\nd/keep.o\nx\n");
    check_tree("**/x\n", files, "a.o\nb.c\nbuild/y\nd/a.o\nd/keep.o\n");
    check_tree("d/*\n!d/e\n", files, "a.o\nb.c\nbuild/y\nd/e/x\nx\n");
    check_tree("[bx]*\n", files, "a.o\nd/a.o\nd/keep.o\n");
    check_tree("x  \n# x\n\\#x\n", files, "a.o\nb.c\nbuild/y\nd/a.o\nd/keep.o\n");
    check_tree("*\n!*/\n!*.c\n", files, "b.c\n");
    check_tree("a.o\\\nbuild\\ \n", files, "a.o\nb.c\nbuild/y\nd/a.o\nd/e/x\nd/keep.o\nx\n");
}

static void test_walk__a_pattern_is_bounded(void)
{
    text t = { 0 }, path = { 0 };
    ignore_list l;
    hone_error err = { 0 };
    for (int i = 0; i < 40; i++)
        text_puts(&t, "*a");
    text_puts(&t, "b/**/x\n");
    for (int i = 0; i < 2000; i++)
        text_puts(&path, "a");
    CHECK_OK(ignore_parse(&l, t.p, t.n, "", false, &err), err);
    CHECK_INT(ignore_ask(&l, path.p, false), IGNORE_NO_SAY);
    ignore_finish(&l);
    text_finish(&t);
    text_finish(&path);
}

static void test_walk__odd_files_are_named(void)
{
    begin();
    put("docs/a.txt", "x", 1);
    put("docs/.hidden.txt", "x", 1);
    put("docs/sub/b.txt", "x", 1);
    put("other/c.txt", "x", 1);
    CHECK(
        in_dir("cd docs && ln -s a.txt link.txt && ln -s nowhere dead && ln -s circle circle && "
               "ln -s ../other/c.txt out && ln -s . sub/loop && mkfifo pipe && ln -s sub again") ==
        0);
    char *docs = path_join(dir, "docs");
    seen s = see(docs, true, false);
    CHECK_STR(s.files.p, "a.txt\nlink.txt\nsub/b.txt\n");
    CHECK_INT(s.n_left[LEFT_LINK], 3);
    CHECK_INT(s.n_left[LEFT_SPECIAL], 1);
    CHECK_INT(s.n_left[LEFT_HIDDEN], 1);
    CHECK_HAS(s.left.p, "circle: a link that leads in a circle");
    CHECK_HAS(s.left.p, "dead: a link that leads nowhere");
    CHECK_HAS(s.left.p, "out: a link that leads out of the source");
    CHECK_HAS(s.left.p, "pipe: neither a file nor a folder");
    forget(&s);
    if (geteuid() != 0) { /* root may read everything */
        CHECK(in_dir("chmod 0 docs/sub") == 0);
        s = see(docs, true, false);
        CHECK_INT(s.n_left[LEFT_UNREADABLE], 1);
        CHECK_HAS(s.left.p, "sub: cannot open the folder: Permission denied");
        forget(&s);
        CHECK(in_dir("chmod 755 docs/sub") == 0);
    }
    free(docs);
    end();
}

static void test_walk__what_hone_writes_is_no_source(void)
{
    begin();
    put("docs/a.txt", "x", 1);
    put("results/a.txt", "x", 1);
    put("docs/results/a.txt", "x", 1);
    seen s = see(dir, true, false);
    CHECK_STR(s.files.p, "docs/a.txt\ndocs/results/a.txt\n");
    CHECK_INT(s.n_left[LEFT_OWN], 1);
    CHECK_HAS(s.left.p, "results: a folder that hone writes");
    forget(&s);
    char *results = path_join(dir, "results");
    s = see(results, true, false); /* named by the user */
    CHECK_STR(s.files.p, "a.txt\n");
    forget(&s);
    free(results);
    end();
}

/* Patterns above the source count; a work tree inside has its own; both can be switched off. */
static void test_walk__work_trees(void)
{
    begin();
    put(".git/HEAD", "x", 1);
    put(".gitignore", "*.log\n/src/gen/\n", 17);
    put("src/a.log", "x", 1);
    put("src/gen/g.c", "x", 1);
    put("src/m.c", "x", 1);
    put("src/inner/.git/info/exclude", "m.c\n", 4);
    put("src/inner/m.c", "x", 1);
    put("src/inner/b.log", "x", 1);
    char *src = path_join(dir, "src"), *gen = path_join(dir, "src/gen");
    seen s = see(src, true, false);
    CHECK_STR(s.files.p, "inner/b.log\nm.c\n");
    CHECK_INT(s.n_left[LEFT_IGNORED], 3);
    forget(&s);
    s = see(gen, true, false); /* named by the user */
    CHECK_STR(s.files.p, "g.c\n");
    forget(&s);
    s = see(src, false, false);
    CHECK_STR(s.files.p, "a.log\ngen/g.c\ninner/b.log\ninner/m.c\nm.c\n");
    forget(&s);
    free(src);
    free(gen);
    end();
}

int main(void)
{
    RUN(test_walk__patterns);
    RUN(test_walk__a_pattern_is_bounded);
    RUN(test_walk__odd_files_are_named);
    RUN(test_walk__what_hone_writes_is_no_source);
    RUN(test_walk__work_trees);
    const char *own = getenv("HONE_TEST_SEED");
    if (own)
        seed = strtoull(own, NULL, 10);
    if (have_git())
        RUN(test_walk__ignores_what_git_ignores);
    else if (!test_failures)
        return 77;
    return TEST_EXIT();
}
