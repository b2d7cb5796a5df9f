/*
 * test_note.c - notes of good, bad, cut and scribbled files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fakes.h"

#include <elf.h>

static char *file;
static size_t file_n;

/* Where the note's head starts in the file. */
static size_t note_at(void)
{
    size_t i;
    for (i = 0; i + sizeof(hone_note_head) <= file_n; i += 4) {
        hone_note_head head;
        memcpy(&head, file + i, sizeof head);
        if (head.namesz == 4 && memcmp(head.name, "HONE", 4) == 0 &&
            strcmp(head.id, "test.good") == 0)
            return i;
    }
    fprintf(stderr, "no note in the good plugin\n");
    exit(EXIT_FAILURE);
}

static hone_status parse(const char *bytes, size_t n, hone_error *err)
{
    plugin_note note = { 0 };
    hone_status status;
    *err = (hone_error){ 0 };
    status = plugin_note_parse(&note, (const uint8_t *)bytes, n, "x.so", err);
    if (!status)
        plugin_note_finish(&note);
    else
        CHECK(note.rows == NULL); /* untouched on failure */
    return status;
}

static void test_note__says_what_the_plugin_is(void)
{
    hone_error err = { 0 };
    plugin_note note = { 0 };
    CHECK_OK(plugin_note_parse(&note, (const uint8_t *)file, file_n, "x.so", &err), err);
    CHECK_STR(note.id, "test.good");
    CHECK_STR(note.version, "1.0.0");
    CHECK_INT(note.abi_major, HONE_ABI_MAJOR);
    CHECK_INT(note.abi_minor, HONE_ABI_MINOR);
    CHECK_INT(note.n_rows, 1);
    CHECK_STR(note.rows[0].kind, HONE_KIND_RECIPE);
    CHECK_STR(note.rows[0].component, "fake");
    CHECK_STR(note.rows[0].extensions, "");
    plugin_note_finish(&note);
}

/* One field overwritten, and the message. */
static void test_note__names_what_is_wrong(void)
{
    const size_t at = note_at(), row = at + sizeof(hone_note_head);
    char names[64];
    memset(names, 'a', sizeof names);
    const struct {
        size_t off;
        const void *bytes;
        size_t n;
        hone_status status;
        const char *message;
    } cases[] = {
        { 0,
          "\x7f"
          "ELX",
          4, HONE_ERR_FORMAT, "x.so: not a shared object (no ELF header)" },
        { EI_CLASS, "\1", 1, HONE_ERR_FORMAT, "built for another machine (ELF class 1, order 1," },
        { EI_DATA, "\2", 1, HONE_ERR_FORMAT, "built for another machine (ELF class 2, order 2," },
        { 18, "\x28\0", 2, HONE_ERR_FORMAT, "machine 40;" },
        { 16, "\2\0", 2, HONE_ERR_FORMAT, "not a shared object (ELF type 2)" },
        { 32, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, HONE_ERR_FORMAT, "program headers" },
        { 54, "\0\1", 2, HONE_ERR_FORMAT, "program headers" },
        { at + 12, "HONK", 4, HONE_ERR_FORMAT, "not a hone plugin (no HONE note)" },
        { at + 8, "\7\0\0\0", 4, HONE_ERR_FORMAT, "not a hone plugin (no HONE note)" },
        { at + offsetof(hone_note_head, abi_minor), "\x2\0", 2, HONE_ERR_ABI,
          "x.so: built for plugin ABI 0.2, this hone has 0.1; rebuild it" },
        { at + offsetof(hone_note_head, abi_major), "\x3\0", 2, HONE_ERR_ABI,
          "built for plugin ABI 3.1, this hone has 0.1" },
        { at + offsetof(hone_note_head, row_size), "\1\0\0\0", 4, HONE_ERR_FORMAT,
          "sizes are 112 and 1," },
        { at + offsetof(hone_note_head, struct_size), "\x78\0\0\0", 4, HONE_ERR_FORMAT,
          "sizes are 120" },
        { at + offsetof(hone_note_head, n_rows), "\0\0\0\0", 4, HONE_ERR_FORMAT,
          "lists 0 components, expected 1 to 256" },
        { at + offsetof(hone_note_head, n_rows), "\xff\xff\xff\xff", 4, HONE_ERR_FORMAT,
          "lists 4294967295 components" },
        { at + offsetof(hone_note_head, n_rows), "\2\0\0\0", 4, HONE_ERR_FORMAT,
          "has 240 bytes, 2 components need 368" },
        { at + offsetof(hone_note_head, id), names, 64, HONE_ERR_FORMAT,
          "id or version is malformed" },
        { at + offsetof(hone_note_head, id), "", 1, HONE_ERR_FORMAT, "id or version is malformed" },
        { at + offsetof(hone_note_head, id), "a/b", 4, HONE_ERR_FORMAT,
          "id or version is malformed" },
        { at + offsetof(hone_note_head, version), names, 32, HONE_ERR_FORMAT, "id or version" },
        { at + offsetof(hone_note_head, version), "1\n", 3, HONE_ERR_FORMAT, "id or version" },
        { row + offsetof(hone_note_row, kind), names, 24, HONE_ERR_FORMAT,
          "row 1 has a malformed kind" },
        { row + offsetof(hone_note_row, component), names, 40, HONE_ERR_FORMAT,
          "row 1 has a malformed" },
        { row + offsetof(hone_note_row, component), "A", 2, HONE_ERR_FORMAT,
          "row 1 has a malformed" },
        { row + offsetof(hone_note_row, extensions), names, 64, HONE_ERR_FORMAT,
          "row 1 has a malformed" },
        { row + offsetof(hone_note_row, extensions), "md", 3, HONE_ERR_FORMAT,
          "row 1 has a malformed" },
        { row + offsetof(hone_note_row, extensions), ".md ", 5, HONE_ERR_FORMAT,
          "row 1 has a malformed" },
        { row + offsetof(hone_note_row, extensions), ".md .t\x1b", 8, HONE_ERR_FORMAT,
          "row 1 has a" },
        { row + offsetof(hone_note_row, extensions), ".md .txt", 9, HONE_OK, "" },
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_error err;
        char *copy = mem_new(file_n, 1);
        memcpy(copy, file, file_n);
        memcpy(copy + cases[i].off, cases[i].bytes, cases[i].n);
        CHECK_INT(parse(copy, file_n, &err), cases[i].status);
        CHECK_HAS(err.message, cases[i].message);
        free(copy);
    }
}

static void test_note__a_row_twice_is_refused(void)
{
    /* grown by hand: the note's own segment cannot grow, so the table is rebuilt in one */
    struct {
        Elf64_Ehdr head;
        Elf64_Phdr segment;
        hone_note_head note;
        hone_note_row rows[2];
    } image;
    hone_error err;
    memset(&image, 0, sizeof image);
    memcpy(&image.head, file, sizeof image.head);
    image.head.e_phoff = offsetof(__typeof__(image), segment);
    image.head.e_phnum = 1;
    image.segment = (Elf64_Phdr){ .p_type = PT_NOTE,
                                  .p_offset = offsetof(__typeof__(image), note),
                                  .p_filesz = sizeof image.note + sizeof image.rows,
                                  .p_align = 4 };
    memcpy(&image.note, file + note_at(), sizeof image.note + sizeof image.rows[0]);
    image.rows[1] = image.rows[0];
    image.note.n_rows = 2;
    image.note.descsz = (uint32_t)(sizeof image.note - 16 + sizeof image.rows);
    CHECK_INT(parse((char *)&image, sizeof image, &err), HONE_ERR_FORMAT);
    CHECK_STR(err.message, "x.so: the note lists hone.recipe/1 'fake' twice");
    image.rows[1].component[0] = 'm';
    CHECK_INT(parse((char *)&image, sizeof image, &err), HONE_OK);
    image.note.descsz += 4; /* one word more than there is */
    CHECK_INT(parse((char *)&image, sizeof image, &err), HONE_ERR_FORMAT);
    CHECK_HAS(err.message, "no HONE note");
}

static void test_note__every_cut_is_refused(void)
{
    hone_error err;
    Elf64_Ehdr head;
    size_t n, end = 0, i;
    memcpy(&head, file, sizeof head);
    for (i = 0; i < head.e_phnum; i++) { /* behind it only sections, which nobody loads */
        Elf64_Phdr row;
        memcpy(&row, file + head.e_phoff + i * sizeof row, sizeof row);
        if (row.p_type == PT_LOAD && row.p_offset + row.p_filesz > end)
            end = row.p_offset + row.p_filesz;
    }
    CHECK(end > 1000);
    for (n = 0; n < end; n++) {
        char *copy = mem_new(n, 1); /* of its own, so that a sanitizer sees one byte too far */
        memcpy(copy, file, n);
        if (parse(copy, n, &err) == HONE_OK) {
            fprintf(stderr, "accepted with %zu of %zu bytes\n", n, end);
            test_failures++;
        }
        CHECK(err.message[0]);
        free(copy);
    }
}

static void test_note__scribbled_files_are_survived(void)
{
    const size_t at = note_at();
    hone_error err;
    uint64_t k;
    for (k = 0; k < 20000; k++) {
        char *copy = mem_new(file_n, 1);
        int i;
        memcpy(copy, file, file_n);
        for (i = 0; i < 4; i++) { /* in the headers and in the note */
            const uint64_t r = rng_u64(1, 2, k * 4 + (uint64_t)i);
            const size_t off = i < 2 ? r % 1024 : at + r % 256;
            if (off < file_n)
                copy[off] = (char)(r >> 32);
        }
        (void)parse(copy, file_n, &err);
        free(copy);
    }
}

static void test_note__files_that_are_no_plugins(void)
{
    char *dir = fakes_folder(), *path = path_join(dir, "a.so");
    plugin_note note = { 0 };
    hone_error err = { 0 };
    CHECK_INT(plugin_note_read(&note, path, &err), HONE_ERR_NOTFOUND);
    CHECK_HAS(err.message, "a.so: No such file");
    CHECK_OK(file_write(path, "", 0, &err), err);
    CHECK_INT(plugin_note_read(&note, path, &err), HONE_ERR_FORMAT);
    CHECK_HAS(err.message, "a.so: not a shared object");
    CHECK_OK(file_write(path, "just text\n", 10, &err), err);
    CHECK_INT(plugin_note_read(&note, path, &err), HONE_ERR_FORMAT);
    CHECK_INT(plugin_note_read(&note, dir, &err), HONE_ERR_IO);
    CHECK_HAS(err.message, "not a regular file");
    fakes_copy(dir, "a.so", "no_note");
    CHECK_INT(plugin_note_read(&note, path, &err), HONE_ERR_FORMAT);
    CHECK_HAS(err.message, "a.so: not a hone plugin (no HONE note)");
    fakes_copy(dir, "a.so", "wrong_abi");
    CHECK_INT(plugin_note_read(&note, path, &err), HONE_ERR_ABI);
    CHECK_HAS(err.message, "built for plugin ABI 0.2, this hone has 0.1");
    free(path);
    fakes_remove(dir);
}

int main(void)
{
    file = fakes_read("good", &file_n);
    RUN(test_note__says_what_the_plugin_is);
    RUN(test_note__names_what_is_wrong);
    RUN(test_note__a_row_twice_is_refused);
    RUN(test_note__every_cut_is_refused);
    RUN(test_note__scribbled_files_are_survived);
    RUN(test_note__files_that_are_no_plugins);
    free(file);
    return TEST_EXIT();
}
