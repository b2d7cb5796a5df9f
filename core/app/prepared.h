/*
 * prepared.h - a prepared dataset as training will see it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_APP_PREPARED_H
#define CORE_APP_PREPARED_H

#include "core/app/setup.h"

/* Count tokens of samples.jsonl and val.jsonl in prepare.out, write their rows beside them, name what
 * is above train.seq_len in report/over_long.jsonl, add all that to report.json; in short to out. */
HONE_MUST_CHECK hone_status count_prepared(text *out, const settings *s, const session *z,
                                           prepare_report *report, hone_error *err);

#endif /* CORE_APP_PREPARED_H */
