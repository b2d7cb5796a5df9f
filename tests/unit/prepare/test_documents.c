/*
 * test_documents.c - the readers of PDF and docx, on documents made here.
 *
 * With a folder as argument it writes the documents there: the corpora of the fuzz targets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"
#include "made.h"
#include "test.h"

static test_host host;
static const char *folder; /* documents are written there */
static int n_written;

/* Blocks, metadata and messages of a document as page_dump() writes them; owned by the caller. */
static char *read_as(const char *reader, const char *json, const char *p, size_t n)
{
    const int64_t before = host.out;
    instance x = { 0 };
    page g = { 0 };
    hone_error err = { 0 };
    text out = { 0 };
    hone_status st = instance_open(&x, &host.host, reader, HONE_KIND_READER, json, &err);
    if (folder && n < 20000) {
        char path[4096];
        hone_error why = { 0 };
        (void)snprintf(path, sizeof path, "%s/%s/made_%02d", folder, reader, n_written++);
        CHECK_OK(file_write(path, p, n, &why), why);
    }
    if (st == HONE_OK)
        st = page_read(&g, &x, "a", p, n, &err);
    page_dump(&g, &out);
    if (st != HONE_OK)
        text_printf(&out, "error %d %s\n", st, err.message);
    CHECK(!g.broken);
    page_finish(&g);
    instance_close(&x);
    CHECK_INT(host.out, before);
    return out.p;
}

static void expect(const char *reader, const char *json, const text *doc, const char *const *wants)
{
    char *got = read_as(reader, json, doc->p, doc->n);
    const char *at = got;
    for (; *wants; wants++) { /* in this order */
        const char *found = strstr(at, *wants);
        if (!found)
            fprintf(stderr, "not found, or not in order: %s\nin: %s\n", *wants, got);
        CHECK(found != NULL);
        at = found ? found : at;
    }
    free(got);
}

#define WANTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#ifdef HONE_HAVE_POPPLER
static void expect_pdf(const char *const *pages, size_t n, const char *const *titles,
                       size_t n_titles, const char *const *wants)
{
    text doc = { 0 };
    made_pdf(&doc, pages, n, titles, n_titles);
    expect("pdf", NULL, &doc, wants);
    text_finish(&doc);
}

static void pdf_two_columns(void)
{
    text lines = { 0 };
    text_puts(&lines, "72 720 18 B A title over both of the columns here\n");
    for (int i = 0; i < 10; i++) {
        text_printf(&lines, "72 %d 10 R left%d some words that fill the line up to its en-\n",
                    680 - 12 * i, i);
        text_printf(&lines, "320 %d 10 R ding%d and words of the other column that fill it\n",
                    680 - 12 * i, i);
    }
    const char *const pages[] = { lines.p };
    expect_pdf(pages, 1, NULL, 0,
               WANTS("heading 1 @0+1 \"A title over both of the columns here\"",
                     "text @0+1 \"left0 some words that fill the line up to its enleft1",
                     "enleft9 some words that fill the line up to its ending0 and words of the "
                     "other column that fill it ding1"));
    text_finish(&lines);
}

static void pdf_edges(void)
{
    static const char *const pages[] = {
        "72 760 9 R The running head\n300 40 9 R 1\n72 700 10 R first page has a line of text "
        "here, "
        "which is the body\n72 688 10 R and it goes on with the compos-\n",
        "72 760 9 R The running head\n300 40 9 R 2\n72 700 10 R ition of a second line of words "
        "which is the body\n72 688 10 R of page two.\n",
        "72 760 9 R The running head\n300 40 9 R 3\n72 700 10 R Third page, with a number in it: "
        "4.\n",
    };
    expect_pdf(pages, 3, NULL, 0,
               WANTS("meta unit \"page\"",
                     "@0+2 \"first page has a line of text here, which is the body and it goes on "
                     "with the composition of a second line of words which is the body of page "
                     "two.\"",
                     "@2+1 \"Third page, with a number in it: 4.\"",
                     "lost 45 running headers, footers and page numbers"));
}

/* Sections that begin pages, whose numbers count with them, are no running heads. */
static void pdf_sections_at_page_tops(void)
{
    static const char *const pages[] = {
        "72 740 16 B 5 Fine words\n72 700 10 R The body of the first page.\n300 40 9 R 1\n",
        "72 740 16 B 6 Other names\n72 700 10 R The body of the second page.\n300 40 9 R 2\n",
        "72 740 16 B 7 Last things1\n72 700 10 R The body of the third page.\n300 40 9 R 3\n",
        "72 700 10 R The body of the fourth page, which has no title.\n300 40 9 R 4\n",
        "72 700 10 R The body of the fifth page, which has no title.\n300 40 9 R 5\n",
        "72 700 10 R The body of the sixth page, which has no title.\n300 40 9 R 6\n",
        "72 700 10 R The body of the seventh page, with no title.\n300 40 9 R 7\n",
        "72 700 10 R The body of the eighth page, with no title.\n300 40 9 R 8\n",
        "72 700 10 R The body of the ninth page, with no title.\n300 40 9 R 9\n",
        "72 700 10 R The body of the tenth page, with no title.\n300 40 9 R 10\n",
    };
    static const char *const titles[] = { "1 Fine words", "3 Last things" };
    expect_pdf(pages, 10, titles, 2,
               WANTS("heading 1 @0+1 \"5 Fine words\"", "heading 1 @1+1 \"6 Other names\"",
                     "heading 1 @2+1 \"7 Last things1\"",
                     "lost 11 running headers, footers and page numbers"));
}

/* Three columns, the gutters between them no wider than a gap between words may be. */
static void pdf_index(void)
{
    static const float xs[] = { 72, 214, 356 };
    text lines = { 0 };
    text_puts(&lines,
              "72 730 10 R Some words of the text that is the body of it all, and goes on to "
              "the far end of it.\n");
    for (int i = 0; i < 14; i++) /* most are short, and some reach to the gutter */
        for (int c = 0; c < 3; c++)
            text_printf(&lines, "%g %d 10 R entry%c%c%s, %d\n", xs[c], 690 - 12 * i, 'A' + c,
                        'a' + i, i % 4 == 2 ? " in the index of it all" : "", 10 + i);
    const char *const pages[] = { lines.p };
    expect_pdf(pages, 1, NULL, 0,
               WANTS("entryAa, 10", "entryAc in the index of it all, 12", "entryAn", "entryBa",
                     "entryBn", "entryCa", "entryCn, 23"));
    text_finish(&lines);
}

static void pdf_structure(void)
{
    static const char *const pages[] = {
        "72 730 10 B Small head\n72 700 10 R Some words of the text that is the body of it all.\n"
        "72 680 10 R 1.\n90 680 10 R the first item of a list, which is long enough to go on\n"
        "90 668 10 R in a line of its own\n72 650 10 R 2.\n90 650 10 R the second\n"
        "72 620 10 M int main(void)\n96 608 10 M return 0;\n"
        "72 570 10 R name\n200 570 10 R size\n300 570 10 R use\n"
        "72 556 10 R alpha\n200 556 10 R 12\n300 556 10 R one thing\n"
        "72 542 10 R beta\n200 542 10 R 7\n300 542 10 R another\n"
        "72 500 10 R The end of the page.\n",
    };
    static const char *const titles[] = { "1 Small head" };
    expect_pdf(
        pages, 1, titles, 1,
        WANTS("heading 1 @0+1 \"Small head\"", "text @0+1 \"Some words",
              "list 1 #1 @0+1 \"the first item of a list, which is long enough to go on in a "
              "line of its own\"",
              "list 1 #2 @0+1 \"the second\"", "code @0+1 \"int main(void)\\n    return 0;\"",
              "table @0+1 \"name\\tsize\\tuse\\nalpha\\t12\\tone thing\\nbeta\\t7\\tanother\"",
              "text @0+1 \"The end of the page.\""));
}

static void pdf_without_text(void)
{
    static const char *const some[] = { "72 700 10 R words here\n", "image", "image\n", "image" };
    expect_pdf(some + 1, 1, NULL, 0, WANTS("error", "no text on its 1 pages: scanned?"));
    expect_pdf(some, 4, NULL, 0,
               WANTS("note 3 of 4 pages are images without text (scanned?): pages 2-4",
                     "\"words here\"",
                     "lost 3 pages that are images without text, one byte for each"));
}

static void pdf_broken(void)
{
    static const struct {
        const char *bytes, *want;
    } rows[] = {
        { "hello", "no PDF: \"%PDF-\" is not in its first 1024 bytes" },
        { "%PDF-1.4\nnothing", "a broken PDF" },
        { "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[2 0 R 2 "
          "0 "
          "R]/Count 2>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
          "a broken PDF" },
        { "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 "
          "R]/Count 1000000000>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 "
          "9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
          "error" },
        { "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count "
          "0>>endobj\n3 0 obj<</Filter/Standard/V 1/R 2/O(01234567890123456789012345678901)/U("
          "01234567890123456789012345678901)/P -4>>endobj\ntrailer<</Root 1 0 R/Encrypt 3 0 "
          "R/ID[(a)(a)]>>\n%%EOF\n",
          "encrypted; set reader.pdf.password" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        text doc = { 0 };
        text_puts(&doc, rows[i].bytes);
        expect("pdf", NULL, &doc, WANTS(rows[i].want));
        text_finish(&doc);
    }
}
#endif

#ifdef HONE_HAVE_XML2
#define P(text) "<w:p><w:r><w:t>" text "</w:t></w:r></w:p>"
#define STYLED(style, text) \
    "<w:p><w:pPr><w:pStyle w:val=\"" style "\"/></w:pPr><w:r><w:t>" text "</w:t></w:r></w:p>"
#define ITEM(num, level, text)                                                \
    "<w:p><w:pPr><w:numPr><w:ilvl w:val=\"" level "\"/><w:numId w:val=\"" num \
    "\"/></w:numPr></w:pPr><w:r><w:t>" text "</w:t></w:r></w:p>"
#define CELL(properties, text) "<w:tc><w:tcPr>" properties "</w:tcPr>" P(text) "</w:tc>"

static void expect_docx(const char *body, const char *styles, const char *numbering,
                        const char *const *more, const char *const *wants)
{
    text doc = { 0 };
    made_docx(&doc, body, styles, numbering, more);
    expect("docx", NULL, &doc, wants);
    text_finish(&doc);
}

static void docx_structure(void)
{
    static const char styles[] =
        "<w:style w:type=\"paragraph\" w:styleId=\"Kop2\"><w:name w:val=\"kop\"/><w:basedOn "
        "w:val=\"Basis\"/></w:style>"
        "<w:style w:type=\"paragraph\" w:styleId=\"Basis\"><w:name "
        "w:val=\"x\"/><w:pPr><w:outlineLvl "
        "w:val=\"1\"/></w:pPr></w:style>"
        "<w:style w:type=\"paragraph\" w:styleId=\"Loop\"><w:name w:val=\"loop\"/><w:basedOn "
        "w:val=\"Loop\"/></w:style>"
        "<w:style w:type=\"paragraph\" w:styleId=\"Pre\"><w:name w:val=\"Preformatted "
        "Text\"/></w:style>";
    static const char numbering[] =
        "<w:abstractNum w:abstractNumId=\"5\"><w:lvl w:ilvl=\"0\"><w:start w:val=\"3\"/><w:numFmt "
        "w:val=\"decimal\"/></w:lvl><w:lvl w:ilvl=\"1\"><w:numFmt "
        "w:val=\"bullet\"/></w:lvl></w:abstractNum>"
        "<w:num w:numId=\"1\"><w:abstractNumId w:val=\"5\"/></w:num>"
        "<w:num w:numId=\"2\"><w:abstractNumId w:val=\"5\"/><w:lvlOverride "
        "w:ilvl=\"0\"><w:startOverride "
        "w:val=\"1\"/></w:lvlOverride></w:num>";
    static const char *const more[] = {
        "docProps/core.xml",
        "<p:coreProperties xmlns:p=\"urn:p\" xmlns:dc=\"urn:dc\"><dc:title>The title</dc:title>"
        "<dc:creator>A. Writer</dc:creator><dc:created>2024-05-01T10:00:00Z</dc:created>"
        "</p:coreProperties>",
        "word/header1.xml",
        P("running head"),
        "word/footnotes.xml",
        "<w:footnote w:type=\"separator\" w:id=\"0\">" P("---") "</w:footnote><w:footnote "
                                                                "w:id=\"2\">" P(
                                                                    "the note") "</w:footnote>",
        NULL,
    };
    expect_docx(
        STYLED("Kop2", "Eerste kop") P("plain") STYLED("Loop", "in a loop") ITEM(
            "1", "0", "three") ITEM("1", "1", "inner") ITEM("1", "0", "four")
            ITEM("2", "0", "again") STYLED("Pre", "  code {") STYLED(
                "Pre",
                "  }") "<w:p><w:r><w:t>noted</w:t><w:footnoteReference w:id=\"2\"/></w:r></w:p>",
        styles, numbering, more,
        WANTS("meta unit \"paragraph\"", "meta title \"The title\"", "meta author \"A. Writer\"",
              "meta date \"2024-05-01\"", "heading 2 @0+1 \"Eerste kop\"", "text @1+1 \"plain\"",
              "text @2+1 \"in a loop\"", "list 1 #3 @3+1 \"three\"", "list 2 @4+1 \"inner\"",
              "list 1 #4 @5+1 \"four\"", "list 1 #1 @6+1 \"again\"", "code @7+2 \"  code {\\n  }\"",
              "text @9+1 \"noted[1]\"", "text @9+1 \"[1] the note\"",
              "lost 12 headers and footers"));
}

static void docx_tables(void)
{
    expect_docx(
        "<w:tbl><w:tr>" CELL("<w:gridSpan w:val=\"2\"/>", "wide") CELL(
            "", "c") "</w:tr><w:tr>" CELL("<w:vMerge w:val=\"restart\"/>", "down") CELL("", "x")
            CELL("", "y") "</w:tr><w:tr>"
                          "<w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/></w:tc><w:tc><w:tbl><w:tr>" CELL(
                              "", "in")
                              CELL("", "ner") "</w:tr></w:tbl></w:tc>" CELL(
                                  "", "z") "</w:tr></w:tbl>"
                                           "<w:tbl><w:tr>" CELL("", "a box") "</w:tr></w:tbl>",
        NULL, NULL, NULL,
        WANTS("table @0+9 \"wide\\t\\tc\\ndown\\tx\\ty\\n\\tin ner\\tz\"", "text @9+1 \"a box\""));
}

static void docx_changes(void)
{
    expect_docx(
        "<w:p><w:r><w:t>kept </w:t></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r>"
        "<w:delText>old</w:delText></w:r></w:del><w:moveFrom><w:r><w:t>gone</w:t></w:r></"
        "w:moveFrom>"
        "<w:moveTo><w:r><w:t> here</w:t></w:r></w:moveTo></w:p>"
        "<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr><w:r><w:t>one </w:t></w:r></w:p>" P(
            "line") "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:t>a</"
                    "w:t><w:tab/>"
                    "<w:t>b</w:t><w:br/><w:t>c\xc2\xad\xc2\xa0"
                    "d</w:t><w:noBreakHyphen/></w:r></w:p>"
                    "<w:p><w:r><w:t>anchor</w:t><mc:AlternateContent><mc:Choice "
                    "Requires=\"wps\"><x:box>"
                    "<w:txbxContent>" P(
                        "boxed") "</w:txbxContent></x:box></mc:Choice><mc:Fallback><w:pict>"
                                 "<w:txbxContent>" P(
                                     "boxed") "</w:txbxContent></w:pict></mc:Fallback></"
                                              "mc:AlternateContent>"
                                              "</w:r></w:p>"
                                              "<w:p><w:r><w:fldChar "
                                              "w:fldCharType=\"begin\"/></"
                                              "w:r><w:r><w:instrText>PAGE</w:instrText>"
                                              "</w:r><w:r><w:fldChar "
                                              "w:fldCharType=\"separate\"/></w:r><w:r><w:t>shown</"
                                              "w:t></w:r><w:r>"
                                              "<w:fldChar w:fldCharType=\"end\"/></w:r></w:p>",
        NULL, NULL, NULL,
        WANTS("text @0+1 \"kept new here\"", "text @1+2 \"one line\"", "text @3+1 \"a\\tb\\nc d-\"",
              "text @4+2 \"anchor\"", "text @5+1 \"boxed\"\ntext", "\"shown\"",
              "lost 6 hidden text"));
}

static void docx_strict(void)
{
    text doc = { 0 };
    made_zip(&doc, WANTS("_rels/.rels",
                         "<Relationships><Relationship Type=\"http://purl.oclc.org/ooxml/"
                         "officeDocument/relationships/officeDocument\" Target=\"/d/main.xml\"/>"
                         "</Relationships>",
                         "d/main.xml",
                         "<w:document xmlns:w=\"http://purl.oclc.org/ooxml/wordprocessingml/main\">"
                         "<w:body>" P("strict") "</w:body></w:document>"));
    expect("docx", NULL, &doc, WANTS("text @0+1 \"strict\""));
    text_finish(&doc);
}

static void docx_broken(void)
{
    static const char dtd[] = "<!DOCTYPE d [<!ENTITY a \"b\">]><d>&a;</d>";
    static const char ole[] = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and more";
    static const char locked[] = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
                                 "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0";
    text doc = { 0 }, big = { 0 };
    text_add(&doc, ole, sizeof ole - 1);
    expect("docx", NULL, &doc, WANTS("error -4 an old Word document (.doc)"));
    text_clear(&doc);
    text_add(&doc, locked, sizeof locked - 1);
    expect("docx", NULL, &doc, WANTS("error", "encrypted; save it without a password"));
    text_clear(&doc);
    text_puts(&doc, "{\\rtf1 hello}");
    expect("docx", NULL, &doc, WANTS("rich text (RTF)"));
    text_clear(&doc);
    text_puts(&doc, "plain");
    expect("docx", NULL, &doc, WANTS("it does not begin as a zip archive does"));
    text_clear(&doc);
    made_zip(&doc, WANTS("a.txt", "x"));
    expect("docx", NULL, &doc, WANTS("a zip archive without word/document.xml"));
    text_clear(&doc);
    made_zip(&doc, WANTS("word/document.xml", dtd));
    expect("docx", NULL, &doc, WANTS("has a document type declaration"));
    text_clear(&doc);
    made_zip(&doc, WANTS("word/document.xml", "<a><b></a>"));
    expect("docx", NULL, &doc, WANTS("a broken docx: word/document.xml, line 1: "));
    text_clear(&doc);
    for (int i = 0; i < 40000; i++)
        text_puts(&big, "<a>spaces and more of them, for a bomb</a>");
    made_zip(&doc, WANTS("word/document.xml", big.p));
    expect("docx", "{\"max_mb\": 1}", &doc, WANTS("error", "unpacks to more than 1048576 bytes"));
    doc.n = doc.n / 2;
    expect("docx", NULL, &doc, WANTS("error -4 a broken docx"));
    text_finish(&doc);
    text_finish(&big);
}
#endif

int main(int argc, char **argv)
{
    folder = argc > 1 ? argv[1] : NULL;
    test_host_init(&host);
#ifdef HONE_HAVE_POPPLER
    RUN(pdf_two_columns);
    RUN(pdf_edges);
    RUN(pdf_sections_at_page_tops);
    RUN(pdf_index);
    RUN(pdf_structure);
    RUN(pdf_without_text);
    RUN(pdf_broken);
#endif
#ifdef HONE_HAVE_XML2
    RUN(docx_structure);
    RUN(docx_tables);
    RUN(docx_changes);
    RUN(docx_strict);
    RUN(docx_broken);
#endif
    return TEST_EXIT();
}
