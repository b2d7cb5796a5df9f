/*
 * show_plan.c - a plan as people read it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/app/setup.h"

#include <math.h>
#include <stdlib.h>

static void put_row(text *out, const char *name, double bytes, const char *note)
{
    text t = { 0 };
    print_bytes(&t, bytes);
    text_printf(out, "  %-22s %10s%s%s\n", name, t.p ? t.p : "?", note[0] ? "  " : "", note);
    text_finish(&t);
}

static void number(text *out, int64_t n)
{
    static const struct {
        double size;
        const char *unit;
    } units[] = { { 1e9, " billion" }, { 1e6, " million" }, { 1e3, " thousand" } };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if ((double)n >= units[i].size) {
            text_printf(out, "%.3g%s", (double)n / units[i].size, units[i].unit);
            return;
        }
    text_printf(out, "%lld", (long long)n);
}

/* "1.25 s", "0:03:12" */
static void duration(text *out, double seconds)
{
    if (seconds < 100)
        text_printf(out, "%.3g s", seconds);
    else
        print_seconds(out, seconds);
}

static void print_head(text *out, const setup *u, const settings *s)
{
    const run_plan *p = &u->plan;
    const device_row *d = u->input.device;
    text_printf(out, "%s of %s on %s%s%s%s\n  ", s->train.method == 1 ? "full fine-tuning" : "LoRA",
                path_base(s->top.model), backend_spec(u->z.back), d ? " (" : "", d ? d->title : "",
                d ? ", not here)" : "");
    number(out, p->params);
    text_puts(out, " parameters, ");
    number(out, p->trained);
    text_printf(out, " of them %s; optimizer %s\n",
                s->train.method == 1 ? "trained" : "in adapters", u->optimizer);
}

static void print_keep(text *out, const run_plan *p)
{
    const int64_t blocks = p->keep_all + p->keep_cheap + p->keep_input;
    const struct {
        int64_t n;
        const char *what;
    } rows[] = { { p->keep_all, "everything" },
                 { p->keep_cheap, "all but norms, rotations and swiglu" },
                 { p->keep_input, "their input alone, and run their forward pass twice" } };
    text_printf(out, "  kept for the backward pass, of %lld blocks: ", (long long)blocks);
    for (size_t i = 0, n = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].n)
            text_printf(out, "%s%lld keep %s", n++ ? ", " : "", (long long)rows[i].n, rows[i].what);
    text_putc(out, '\n');
}

static void print_memory(text *out, const setup *u)
{
    const run_plan *p = &u->plan;
    text t = { 0 };
    text_printf(out, "\nmemory of the %s\n", p->unified ? "process" : "device");
    for (int i = 0; i < BYTES_KINDS; i++)
        if (p->device[i])
            put_row(out, bytes_names[i], (double)p->device[i], "");
    if (p->paged_host)
        put_row(out, "paged states", (double)p->paged_host, "in host memory");
    if (p->unified) {
        put_row(out, "the program itself", (double)(p->host_base + p->host_run - p->paged_host),
                "now, with tokenizer and data; and lists");
        put_row(out, "passing", (double)p->host_passing, "while loading or saving");
    }
    print_bytes(&t, (double)p->limit);
    text_printf(out, "  %-22s ", "at its highest");
    text highest = { 0 };
    print_bytes(&highest, (double)(p->unified ? p->resident : p->device_total));
    text_printf(out, "%10s  of %s: %s\n", highest.p ? highest.p : "?", t.p ? t.p : "?",
                p->fits ? "fits" : "DOES NOT FIT");
    text_finish(&highest);
    text_finish(&t);
    if (!p->unified)
        put_row(out, "host memory", (double)p->resident, "");
    print_keep(out, p);
}

static void print_disk(text *out, const run_plan *p)
{
    char note[64];
    text t = { 0 };
    print_bytes(&t, (double)p->checkpoint);
    (void)snprintf(note, sizeof note, "%lld at most, %s each", (long long)p->checkpoints,
                   t.p ? t.p : "?");
    text_finish(&t);
    text_puts(out, "\ndisk\n");
    put_row(out, "checkpoints", (double)(p->checkpoint * p->checkpoints), note);
    put_row(out, "result", (double)p->result, "");
    if (p->file)
        put_row(out, "paged states", (double)p->file, "gone when the run ends");
}

static void print_time(text *out, const setup *u)
{
    const run_plan *p = &u->plan;
    const plan_data *d = &u->data;
    text_printf(out, "\ntime%s\n  ",
                d->estimate ? " (an ESTIMATE: tokens are guessed from the size of the "
                              "sources)"
                            : "");
    text_printf(out, "%lld rows, ", (long long)d->rows);
    number(out, d->tokens);
    text_puts(out, " tokens an epoch, ");
    number(out, d->learned);
    text_printf(out, " of them learned; %lld steps in %.3g epochs\n  ", (long long)p->steps,
                p->epochs);
    if (isnan(p->step_seconds)) {
        text_puts(out, "no rates are known\n");
        return;
    }
    text_printf(out, "%.3g Gflop a step: ", p->flops / 1e9);
    duration(out, p->step_seconds);
    text_puts(out, " a step, ");
    duration(out, p->epoch_seconds);
    text_puts(out, " an epoch, ");
    duration(out, p->total_seconds);
    text_puts(out, " in all\n");
    if (!isnan(p->floor_seconds)) {
        text_puts(out, "  floor at the device's peak: ");
        duration(out, p->floor_seconds);
        text_printf(out, " a step; %.0f %% of the peak expected\n  %s\n",
                    u->input.device->expected * 100, u->input.device->source);
    }
}

void plan_print(text *out, const setup *u, const settings *s)
{
    print_head(out, u, s);
    print_memory(out, u);
    print_disk(out, &u->plan);
    print_time(out, u);
    if (u->plan.fits)
        return;
    plan_change changes[5];
    size_t n = 0;
    hone_error err = { 0 };
    if (plan_changes(changes, sizeof changes / sizeof *changes, &n, &u->input, &err))
        return;
    text_puts(out, n ? "\nwhat would fit\n" : "\nnothing that was tried would fit\n");
    for (size_t i = 0; i < n; i++) {
        const run_plan *p = &changes[i].plan;
        text t = { 0 };
        print_bytes(&t, (double)(p->unified ? p->resident : p->device_total));
        if (!isnan(p->step_seconds)) {
            text_puts(&t, ", ");
            duration(&t, p->step_seconds);
            text_puts(&t, " a step");
        }
        text_printf(out, "  %-58s %s\n", changes[i].settings, t.p ? t.p : "?");
        text_finish(&t);
    }
}

void plan_print_short(text *out, const setup *u)
{
    const run_plan *p = &u->plan;
    text_puts(out, "plan: ");
    print_bytes(out, (double)p->device_total);
    text_puts(out, " of model and buffers, ");
    print_bytes(out, (double)p->resident);
    text_puts(out, " resident at most, of ");
    print_bytes(out, (double)p->limit);
    text_puts(out, "; ");
    print_bytes(out, (double)p->disk);
    text_printf(out, " of disk at most\nplan: %lld steps", (long long)p->steps);
    if (!isnan(p->step_seconds)) {
        text_puts(out, ", ");
        duration(out, p->step_seconds);
        text_puts(out, " a step, ");
        duration(out, p->total_seconds);
        text_puts(out, " in all");
    }
    text_printf(out, "; blocks keep everything %lld, products %lld, their input %lld\n",
                (long long)p->keep_all, (long long)p->keep_cheap, (long long)p->keep_input);
}

hone_status plan_check(const setup *u, hone_error *err)
{
    const run_plan *p = &u->plan;
    plan_change changes[4];
    size_t n = 0;
    text need = { 0 }, have = { 0 }, fits = { 0 };
    hone_status st = HONE_OK;
    if (p->fits)
        return HONE_OK;
    st = plan_changes(changes, sizeof changes / sizeof *changes, &n, &u->input, err);
    print_bytes(&need, (double)(p->unified ? p->resident : p->device_total));
    print_bytes(&have, (double)p->limit);
    for (size_t i = 0; i < n; i++)
        text_printf(&fits, "%s%s", i ? "; or " : "", changes[i].settings);
    if (!st)
        st = hone_fail(err, HONE_ERR_NOMEM,
                       "the run needs %s of memory, it may have %s%s%s; see hone plan",
                       need.p ? need.p : "?", have.p ? have.p : "?", n ? "; what would fit: " : "",
                       n && fits.p ? fits.p : "");
    text_finish(&need);
    text_finish(&have);
    text_finish(&fits);
    return st;
}
