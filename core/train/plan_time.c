/*
 * plan_time.c - how long a step takes: operations over rates.
 *
 *   forward         2 per weight and token; again for blocks that keep their input alone
 *   dx              2 per weight and token, in blocks that train
 *   full            2 more for dW;  LoRA: 6 per number of the adapter
 *   attention       2 T^2 channels forward (causal: half of the pairs), 2.5 times that backward
 *   head            at supervised positions only: 3 products of (channels, vocabulary)
 *   elementwise     bytes read and written, over the bandwidth
 *
 * On this machine rates are measured; for a device of the table the same operations are held
 * against its peaks: the floor. A micro-batch cannot be faster than reading the weights once a
 * pass either.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/train/plan_parts.h"

#include <math.h>
#include <string.h>

/* Work of one micro-batch, by what sets its pace. Products by width, for the rates. */
typedef struct tally {
    double forward, back, gradient; /* flop of products with weights          */
    double thin, attention, attention_back;
    double bytes;   /* elementwise, read and written                          */
    double seconds; /* of all of it, where rates are known                    */
} tally;

/* The rate at a width, between the measured ones on a logarithmic scale. */
static double rate_at(const double *rates, double width)
{
    int i = 0;
    while (i + 2 < SPEED_WIDTHS && width > (double)speed_widths[i + 1])
        i++;
    const double lo = (double)speed_widths[i], hi = (double)speed_widths[i + 1];
    double t = log(width / lo) / log(hi / lo);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return exp((1 - t) * log(rates[i]) + t * log(rates[i + 1]));
}

typedef struct counts {
    double tokens, learned; /* of an average micro-batch                       */
    double blocks, trained, again, cheap;
    bool full;
} counts;

/* A product with a (rows, cols) weight: `passes` forward, dx and dW each so many times. */
static void product(tally *t, const speed *s, double rows, double cols, double n, double forward,
                    double back, double gradient)
{
    const double flop = 2 * n * rows * cols, width = sqrt(rows * cols);
    t->forward += forward * flop;
    t->back += back * flop;
    t->gradient += gradient * flop;
    if (!s)
        return;
    t->seconds += forward * flop / rate_at(s->linear, width);
    if (back > 0)
        t->seconds += back * flop / rate_at(s->linear_back, width);
    if (gradient > 0)
        t->seconds += gradient * flop / rate_at(s->gradient, width);
}

static void elementwise(tally *t, const llama_config *c, const counts *k)
{
    const double C = (double)c->dim[DIM_C], Q = (double)c->dim[DIM_Q], K = (double)c->dim[DIM_K],
                 F = (double)c->dim[DIM_F];
    /* floats per token, reads and writes: two norms, rotation, swiglu, copies of the stream */
    const double forward = 8 * C + 2 * (Q + K) + 3 * F;
    const double back = 12 * C + 2 * (Q + K) + 5 * F, cheap = 4 * C + 3 * F;
    t->bytes = k->tokens * sizeof(float) *
               (forward * (k->blocks + k->again) + back * k->trained + cheap * k->cheap);
    t->bytes += k->learned * sizeof(float) * 6 * (double)c->dim[DIM_V];
}

static tally micro_batch(const model *m, const counts *k, double context, double adapter_numbers,
                         const speed *s)
{
    const llama_config *c = model_config(m);
    tally t = { 0 };
    for (const llama_tensor *w = llama_tensors; w->name; w++) {
        const double rows = (double)c->dim[w->rows], cols = (double)c->dim[w->cols];
        const bool down = strcmp(w->short_name, "down_proj") == 0;
        if (!llama_has(c, w) || !(w->flags & TENSOR_LINEAR))
            continue;
        product(&t, s, rows, cols, k->tokens, k->blocks + (down ? 0 : k->again), k->trained,
                k->full ? k->trained : 0);
    }
    const double V = (double)c->dim[DIM_V], C = (double)c->dim[DIM_C];
    product(&t, s, V, C, k->learned, 1, k->trained > 0, k->full);
    t.thin = k->full ? 0 : 6 * k->tokens * adapter_numbers;
    /* causal: a token sees half of its sequence on average */
    const double attention = 2 * k->tokens * context * (double)c->dim[DIM_Q];
    t.attention = attention * (k->blocks + k->again);
    t.attention_back = 2.5 * attention * k->trained;
    elementwise(&t, c, k);
    if (s)
        t.seconds += t.thin / s->thin + t.attention / s->attention +
                     t.attention_back / s->attention_back + t.bytes / s->bytes;
    return t;
}

/* Bytes an update reads and writes: gradient, value and states; norm and clearing. */
static double update_bytes(const run_plan *p, const optimizer_memory *states)
{
    return (double)p->trained * 6 * sizeof(float) +
           2 * (double)(states->device + states->host + states->file);
}

static double peak_of(const device_row *d, const char *format, bool forward)
{
    if (strcmp(format, "fp32") == 0)
        return d->single;
    return forward && strcmp(format, "int8") == 0 ? d->int8 : d->half;
}

/* Seconds of a micro-batch at the device's peaks. */
static double floor_of(const tally *t, const run_plan *p, const device_row *d, const char *format)
{
    const double flop = t->forward / peak_of(d, format, true) +
                        (t->back + t->gradient + t->thin + t->attention + t->attention_back) /
                            peak_of(d, format, false);
    const double weights = 2 * (double)p->device[BYTES_WEIGHTS] / d->bandwidth;
    return flop > weights ? flop : weights;
}

void plan_time(run_plan *p, const model *m, const optimizer_memory *states, const plan_input *in)
{
    const plan_data *d = in->data;
    const train_options *o = in->train;
    const speed *s = in->rates && in->rates->known && !in->device ? &in->rates->speed : NULL;
    const double batches = d->batches ? (double)d->batches : 1;
    const counts k = { .tokens = (double)d->tokens / batches,
                       .learned = (double)d->learned / batches,
                       .blocks = (double)model_config(m)->layers,
                       .trained = (double)model_trained_blocks(m),
                       .again = (double)p->keep_input,
                       .cheap = (double)(p->keep_cheap + p->keep_input),
                       .full = o->method == 1 };
    const tally t = micro_batch(m, &k, d->context, (double)p->trained, s);
    const double accumulate = d->batches < o->accumulate ? batches : (double)o->accumulate;
    const double windows = ceil(batches / (double)o->accumulate), steps = (double)p->steps;
    const double moved = update_bytes(p, states);
    double micro = NAN, update = NAN;
    p->floor_seconds = NAN;
    p->flops =
        accumulate * (t.forward + t.back + t.gradient + t.thin + t.attention + t.attention_back);
    if (in->device) {
        const double paged = 2 * (double)(states->host + states->file) / in->device->host_link;
        micro = floor_of(&t, p, in->device, backend_format_name(in->back));
        update = moved / in->device->bandwidth;
        p->floor_seconds = accumulate * micro + (update > paged ? update : paged);
        micro = (micro + t.bytes / in->device->bandwidth) / in->device->expected;
        update = (update > paged ? update : paged) / in->device->expected;
    } else if (s) {
        micro = t.seconds * in->rates->correction;
        update = moved / s->bytes * in->rates->correction;
    }
    p->step_seconds = accumulate * micro + update;
    p->epoch_seconds = batches * micro + windows * update;
    p->total_seconds = o->steps ? steps * p->step_seconds : p->epoch_seconds * o->epochs;
    p->epochs = o->steps ? steps / windows : o->epochs;
}
