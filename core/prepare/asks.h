/*
 * asks.h - hone.generate/1 and hone.embed/1 through a child's pipe.
 *
 * The run has the services, a child has tables of the same kind that write frames. An answer is
 * sent when it is asked for and not before, so that neither side ever writes while the other
 * does; while it waits for one, a document's clock stands still. What a child says is checked: handles
 * are its own, prompts are counted, and the services check the rest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CORE_PREPARE_ASKS_H
#define CORE_PREPARE_ASKS_H

#include "core/prepare/parts.h"
#include "hone/generate.h"

/* From the child. */
#define FRAME_ASK 32     /* handle, tokens, attempt, system, user, version */
#define FRAME_COLLECT 33 /* handle: its answer is waited for               */
#define FRAME_PEEK 34    /* handle: is it there?                           */
#define FRAME_RELEASE 35 /* handle                                         */
#define FRAME_SHAPE 36   /* of vectors                                     */
#define FRAME_EMBED 37   /* n, texts                                       */
/* To the child. */
#define FRAME_ANSWER 40  /* handle, status, end, kept, text or message     */
#define FRAME_PEEKED 41  /* handle, 1 or 0                                 */
#define FRAME_SHAPED 42  /* status, width, tokens, message                 */
#define FRAME_VECTORS 43 /* status, message, or the numbers' bits          */

#define ASKS_PER_DOCUMENT 65536
#define ASKS_EMBED_AT_ONCE 64 /* texts of a frame: the run answers others in between */

/* The child's side: tables that ask the run take the place of the services, where the run has
 * them. out: frames that were not sent yet; both live as long as the process. */
void asks_offer(int fd, text *out);

/* The run's side, of one child. */
typedef struct asks asks;
/* A frame of the above. *fault: the child is to blame for the failure. */
HONE_MUST_CHECK hone_status asks_take(asks **a, frame *f, bool *fault, hone_error *err);
bool asks_waits(const asks *a); /* the child waits for us; NULL: no */
/* Answer what can be, send what is to be sent. False: the child does not listen. */
bool asks_serve(asks *a, int fd);
/* Its document is done: prompts that were not collected are cancelled. NULL is fine. */
void asks_forget(asks **a);

#endif /* CORE_PREPARE_ASKS_H */
