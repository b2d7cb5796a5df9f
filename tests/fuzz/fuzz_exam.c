/*
 * fuzz_exam.c - the questions of an exam, and the words they are compared by.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/exam/exam.h"
#include "fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hone_error err = { 0 };
    exam x = { 0 };
    size_t i;
    if (exam_load_bytes(&x, (const char *)data, size, "x.jsonl", &err)) {
        if (!err.message[0] || x.questions)
            abort();
        return 0;
    }
    if (!x.n)
        abort();
    for (i = 0; i < x.n; i++) {
        const exam_question *q = &x.questions[i];
        bool exact = false;
        double f1 = -1;
        if (!q->id || !q->question[0] || !q->answer[0] || q->line < 1)
            abort();
        if (!exam_score_answer(q->question, q->answer, &exact, &f1) || !(f1 >= 0 && f1 <= 1))
            abort();
        if (!exam_score_answer(q->answer, q->answer, &exact, &f1) || !exact || f1 < 1)
            abort();
    }
    exam_finish(&x);
    return 0;
}
