/*
 * note.c - what a shared object says of itself, read without running it.
 *
 * dlopen runs constructors before any check of ours could; a note is bytes in the
 * file. The walk is file header, program headers, PT_NOTE segments, notes; every
 * step is checked against the size of the file, every value is copied out before
 * use, and nothing in the file is trusted to be aligned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/plugin/plugin.h"

#include <elf.h>
#include <stdlib.h>

#define MAX_ROWS 256

#if defined(__x86_64__)
#define THIS_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define THIS_MACHINE EM_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define THIS_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define THIS_MACHINE EM_PPC64
#else
#error "add this machine's ELF number"
#endif

typedef struct span {
    const uint8_t *p; /* borrowed */
    uint64_t n;
} span;

/* The bytes [off, off + n) of s, or false when s has none. */
static bool cut(span *out, span s, uint64_t off, uint64_t n)
{
    if (off > s.n || n > s.n - off)
        return false;
    *out = (span){ s.p + off, n };
    return true;
}

static bool copy(void *out, span s, uint64_t off, uint64_t n)
{
    span part;
    if (!cut(&part, s, off, n))
        return false;
    memcpy(out, part.p, n);
    return true;
}

/* A fixed field that must hold a NUL-terminated name of these characters. */
static bool is_name(const char *field, size_t size, const char *allowed)
{
    return memchr(field, '\0', size) != NULL && field[0] && !field[strspn(field, allowed)];
}

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* "", "*" or ".md .markdown" */
static bool is_extensions(const char *field, size_t size)
{
    size_t i;
    if (!memchr(field, '\0', size))
        return false;
    if (strcmp(field, "*") == 0)
        return true;
    for (i = 0; field[i]; i++) {
        const bool first = i == 0 || field[i - 1] == ' ';
        if (first ? field[i] != '.' || field[i + 1] == ' ' || field[i + 1] == '\0'
                  : (unsigned char)field[i] < 0x20 || field[i] == 0x7f || field[i] == '/')
            return false;
    }
    return i == 0 || field[i - 1] != ' ';
}

static hone_status check_rows(const plugin_note *note, const char *what, hone_error *err)
{
    size_t i, k;
    for (i = 0; i < note->n_rows; i++) {
        const hone_note_row *row = &note->rows[i];
        if (!is_name(row->kind, sizeof row->kind, LOWER "._/-") ||
            !is_name(row->component, sizeof row->component, LOWER "-") ||
            !is_extensions(row->extensions, sizeof row->extensions))
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: the note's row %zu has a malformed kind, name or extension", what,
                             i + 1);
        for (k = 0; k < i; k++)
            if (strcmp(row->kind, note->rows[k].kind) == 0 &&
                strcmp(row->component, note->rows[k].component) == 0)
                return hone_fail(err, HONE_ERR_FORMAT, "%s: the note lists %s '%s' twice", what,
                                 row->kind, row->component);
    }
    return HONE_OK;
}

/* The descriptor of one HONE note. The ABI comes first: another one may have another layout. */
static hone_status parse_hone_note(plugin_note *out, span desc, const char *what, hone_error *err)
{
    const size_t head_size = sizeof(hone_note_head) - 16;
    plugin_note note = { 0 };
    hone_note_head head = { 0 };
    hone_status status;
    if (!copy((uint8_t *)&head + 16, desc, 0, 8))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the note is cut short", what);
    if (head.abi_major != HONE_ABI_MAJOR || head.abi_minor != HONE_ABI_MINOR)
        return hone_fail(err, HONE_ERR_ABI,
                         "%s: built for plugin ABI %u.%u, this hone has %u.%u; rebuild it", what,
                         head.abi_major, head.abi_minor, HONE_ABI_MAJOR, HONE_ABI_MINOR);
    if (!copy((uint8_t *)&head + 16, desc, 0, head_size))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the note is cut short", what);
    if (head.struct_size != head_size || head.row_size != sizeof(hone_note_row))
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: the note's sizes are %u and %u, not %zu and %zu", what,
                         head.struct_size, head.row_size, head_size, sizeof(hone_note_row));
    if (head.n_rows < 1 || head.n_rows > MAX_ROWS)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the note lists %u components, expected 1 to %d",
                         what, head.n_rows, MAX_ROWS);
    if (desc.n != head_size + (uint64_t)head.n_rows * sizeof(hone_note_row))
        return hone_fail(
            err, HONE_ERR_FORMAT, "%s: the note has %llu bytes, %u components need %llu", what,
            (unsigned long long)desc.n, head.n_rows,
            (unsigned long long)(head_size + (uint64_t)head.n_rows * sizeof(hone_note_row)));
    if (!is_name(head.id, sizeof head.id, LOWER "._-") ||
        !is_name(head.version, sizeof head.version, LOWER UPPER "._+~-"))
        return hone_fail(err, HONE_ERR_FORMAT, "%s: the note's id or version is malformed", what);
    memcpy(note.id, head.id, sizeof note.id);
    memcpy(note.version, head.version, sizeof note.version);
    note.abi_major = head.abi_major;
    note.abi_minor = head.abi_minor;
    note.n_rows = head.n_rows;
    note.rows = mem_new(note.n_rows, sizeof *note.rows);
    if (!note.rows)
        return hone_fail(err, HONE_ERR_NOMEM, "%s: no memory for the note", what);
    memcpy(note.rows, desc.p + head_size, note.n_rows * sizeof *note.rows);
    status = check_rows(&note, what, err);
    if (status) {
        plugin_note_finish(&note);
        return status;
    }
    *out = note;
    return HONE_OK;
}

/* The descriptors of HONE notes in a PT_NOTE segment; the last one goes to *desc. A segment
 * that breaks off ends the search in it: other tools' notes are not ours to judge. */
static size_t find_in_segment(span *desc, span segment, uint64_t align)
{
    size_t found = 0;
    uint64_t at = 0;
    while (segment.n - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr head;
        span part;
        uint64_t start, end;
        if (!copy(&head, segment, at, sizeof head))
            break;
        start = at + ((sizeof head + (uint64_t)head.n_namesz + align - 1) & ~(align - 1));
        if (!cut(&part, segment, start, head.n_descsz))
            break;
        if (head.n_namesz == 4 && head.n_type == HONE_NOTE_TYPE &&
            memcmp(segment.p + at + sizeof head, "HONE", 4) == 0) {
            *desc = part;
            found++;
        }
        end = (start + head.n_descsz + align - 1) & ~(align - 1);
        if (end > segment.n)
            break;
        at = end;
    }
    return found;
}

hone_status plugin_note_parse(plugin_note *out, const uint8_t *p, size_t n, const char *what,
                              hone_error *err)
{
    const span file = { p, n };
    span desc = { NULL, 0 };
    size_t found = 0;
    Elf64_Ehdr head;
    unsigned i;
    if (!copy(&head, file, 0, sizeof head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: not a shared object (no ELF header)", what);
    if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB ||
        head.e_machine != THIS_MACHINE)
        return hone_fail(
            err, HONE_ERR_FORMAT,
            "%s: built for another machine (ELF class %u, order %u, machine %u; this is 2, 1, %u)",
            what, head.e_ident[EI_CLASS], head.e_ident[EI_DATA], head.e_machine, THIS_MACHINE);
    if (head.e_type != ET_DYN)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: not a shared object (ELF type %u)", what,
                         head.e_type);
    if (head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phoff > n ||
        (n - head.e_phoff) / sizeof(Elf64_Phdr) < head.e_phnum)
        return hone_fail(err, HONE_ERR_FORMAT,
                         "%s: cut short (%zu bytes hold no %u program headers)", what, n,
                         head.e_phnum);
    for (i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr row;
        span segment;
        if (!copy(&row, file, head.e_phoff + (uint64_t)i * sizeof row, sizeof row))
            break;
        if (row.p_type == PT_LOAD && !cut(&segment, file, row.p_offset, row.p_filesz))
            return hone_fail(err, HONE_ERR_FORMAT,
                             "%s: cut short (%zu bytes, a segment ends behind)", what, n);
        if (row.p_type == PT_NOTE && cut(&segment, file, row.p_offset, row.p_filesz))
            found += find_in_segment(&desc, segment, row.p_align == 8 ? 8 : 4);
    }
    if (found == 0)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: not a hone plugin (no HONE note)", what);
    if (found > 1)
        return hone_fail(err, HONE_ERR_FORMAT, "%s: %zu HONE notes, expected one", what, found);
    return parse_hone_note(out, desc, what, err);
}

hone_status plugin_note_read(plugin_note *out, const char *path, hone_error *err)
{
    file_map map = { 0 };
    hone_status status = file_map_open(&map, path, err);
    if (status)
        return status;
    status = plugin_note_parse(out, map.p, map.n, path, err);
    file_map_close(&map);
    return status;
}

void plugin_note_finish(plugin_note *note)
{
    free(note->rows);
    *note = (plugin_note){ 0 };
}
