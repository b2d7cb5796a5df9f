/*
 * settings.c - hone.json and the command line into one struct, by the sections' rows.
 *
 * A key is known in one place: the row of its section. `--train.lr 2e-4`, `"train":
 * {"lr": 2e-4}`, --help, docs/options.md and the config saved with a run all come from
 * there. Sections that belong to plugins (optimizer, reader, ..) are kept as JSON and
 * checked against the component's own rows when it is opened.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "core/app/app.h"

/* clang-format off */
static const hone_option top_rows[] = {
    { "model", HONE_OPT_PATH, offsetof(top_options, model), 0, 0, NULL, NULL,
      "folder of the base model, as Hugging Face publishes it" },
    { "backend", HONE_OPT_STRING, offsetof(top_options, backend), 0, 0, "cpu/fp32", NULL,
      "device and weight format: cpu/fp32, cuda:1/nf4; hone exam takes several, with commas" },
    { "template", HONE_OPT_STRING, offsetof(top_options, template_), 0, 0, "auto", NULL,
      "chat template: auto (the model's own), a name, or a template file" },
    { "plugin_dir", HONE_OPT_PATHS, offsetof(top_options, plugin_dir), 0, 0, NULL, NULL,
      "folders searched for plugins before all others" },
    HONE_OPTIONS_END,
};

static const hone_option data_rows[] = {
    HONE_ROW_PATH(data_options, path, NULL, "dataset, JSONL or CSV; default: what `hone prepare` wrote"),
    HONE_ROW_ENUM(data_options, over_long, "stop|split|skip|default", "default",
        "rows above seq_len; default: stop for pairs, split for raw text"),
    HONE_ROW_BOOL(data_options, raw_bos, "true", "begin raw rows with BOS, if the tokenizer adds one"),
    HONE_ROW_BOOL(data_options, raw_eos, "true", "end raw rows with EOS, if there is one"),
    HONE_ROW_BOOL(data_options, learn_prompt, "false", "learn the prompt of pairs too"),
    HONE_ROW_STRING(data_options, date, NULL, "today, for templates that print it: \"26 Jul 2024\""),
    HONE_OPTIONS_END,
};

static const hone_option use_rows[] = {
    HONE_ROW_PATH(use_options, adapter, NULL,
        "adapter or tuned model folder; default: the run's own (train.out), if it is there"),
    HONE_ROW_BOOL(use_options, base, "false", "the base model alone"),
    HONE_ROW_STRING(use_options, system, NULL, "system message put in front of every conversation"),
    HONE_ROW_I64(use_options, context, 16, 1 << 20, "2048", "tokens of prompt and answer together"),
    HONE_OPTIONS_END,
};

static const hone_option plan_rows[] = {
    HONE_ROW_STRING(plan_settings, memory, NULL, "memory a run may take, 8GB; default: what is free"),
    HONE_OPTIONS_END,
};

typedef struct section {
    const char *name; /* "": keys without a section */
    const hone_option *rows;
    size_t offset;    /* of the struct in settings */
} section;

static const section sections[] = {
    { "", top_rows, offsetof(settings, top) },
    { "prepare", prepare_option_rows, offsetof(settings, prepare) },
    { "data", data_rows, offsetof(settings, data) },
    { "adapter", adapter_option_rows, offsetof(settings, adapter) },
    { "train", train_option_rows, offsetof(settings, train) },
    { "generate", sampling_option_rows, offsetof(settings, generate) },
    { "use", use_rows, offsetof(settings, use) },
    { "exam", exam_option_rows, offsetof(settings, exam) },
    { "plan", plan_rows, offsetof(settings, plan) },
    { "generator", generator_option_rows, offsetof(settings, generator) },
};
#define N_SECTIONS (sizeof sections / sizeof sections[0])

static const struct {
    const char *name;
    size_t offset;
    int depth; /* 1: {option: value}; 2: {component: {option: value}} */
    const char *help;
} free_sections[] = {
    { "optimizer", offsetof(settings, optimizer), 1, "\"name\" chooses: adamw (the default), adam, paged-adamw, paged-adam, adamw8bit, or a plugin's; the rest are its options" },
    { "reader", offsetof(settings, reader), 2, "options of readers, by name: --reader.html.keep_tables no" },
    { "recipe", offsetof(settings, recipe), 2, "options of recipes, by name: --recipe.raw.tokens 256" },
    { "device", offsetof(settings, device), 1, "options of the device plugin: --device.threads 4" },
    { "weights", offsetof(settings, weights), 1, "options of the weights plugin" },
};
/* clang-format on */
#define N_FREE (sizeof free_sections / sizeof free_sections[0])

static json_t **free_section(settings *s, size_t i)
{
    return (json_t **)(void *)((char *)s + free_sections[i].offset);
}

static hone_status sections_init(settings *s, const char *base, hone_error *err)
{
    s->sections = mem_new(N_SECTIONS, sizeof *s->sections);
    if (!s->sections)
        return hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
    for (size_t i = 0; i < N_SECTIONS; i++) {
        hone_status st = options_init(&s->sections[i], sections[i].rows,
                                      (char *)s + sections[i].offset, sections[i].name, base, err);
        if (st)
            return st;
    }
    for (size_t i = 0; i < N_FREE; i++)
        if (!(*free_section(s, i) = json_object()))
            return hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
    return HONE_OK;
}

/* Every key a user may write, for the nearest-name hint. */
static hone_status unknown_key(const char *key, hone_error *err)
{
    const char *names[N_SECTIONS + N_FREE + 8];
    size_t n = 0;
    for (size_t i = 1; i < N_SECTIONS; i++)
        names[n++] = sections[i].name;
    for (size_t i = 0; i < N_FREE; i++)
        names[n++] = free_sections[i].name;
    for (const hone_option *o = top_rows; o->name && n < sizeof names / sizeof names[0]; o++)
        names[n++] = o->name;
    const char *near = nearest_name(key, names, n);
    return hone_fail(err, HONE_ERR_ARG, "unknown setting '%s'%s%s%s; docs/options.md lists them",
                     key, near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
}

static hone_status read_config(settings *s, hone_error *err)
{
    json_t *root = NULL;
    const char *key;
    json_t *value;
    hone_status st = json_read(&root, s->file, err);
    if (st)
        return st;
    if (!json_is_object(root)) {
        st = hone_fail(err, HONE_ERR_FORMAT, "%s: expected an object of settings", s->file);
        goto out;
    }
    json_object_foreach(root, key, value)
    {
        bool known = false;
        for (const hone_option *o = top_rows; o->name; o++)
            if (strcmp(o->name, key) == 0) {
                known = true;
                st = options_set_json(&s->sections[0], key, value, err);
            }
        for (size_t i = 1; i < N_SECTIONS && !known; i++)
            if (strcmp(sections[i].name, key) == 0) {
                known = true;
                st = json_is_object(value)
                         ? options_set_object(&s->sections[i], value, NULL, err)
                         : hone_fail(err, HONE_ERR_ARG, "'%s' must be an object of settings", key);
            }
        for (size_t i = 0; i < N_FREE && !known; i++)
            if (strcmp(free_sections[i].name, key) == 0) {
                known = true;
                if (!json_is_object(value))
                    st = hone_fail(err, HONE_ERR_ARG, "'%s' must be an object of settings", key);
                else if (json_object_update(*free_section(s, i), value))
                    st = hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
            }
        if (!known)
            st = unknown_key(key, err);
        if (st) {
            (void)hone_prefix(err, "%s", s->file);
            goto out;
        }
    }
out:
    json_decref(root);
    return st;
}

/* "recipe.raw.tokens" = "256" into the free section's object. The value becomes JSON when it
 * reads as JSON (numbers, true, lists), a string otherwise. */
static hone_status set_free(settings *s, size_t i, const char *path, const char *value,
                            hone_error *err)
{
    json_t *object = *free_section(s, i);
    char *copy = mem_strdup(path);
    json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    hone_status st = HONE_OK;
    if (!v)
        v = json_string(value);
    if (!copy || !v) {
        st = hone_fail(err, HONE_ERR_ARG, "%s.%s: '%s' is not UTF-8 text", free_sections[i].name,
                       path, value);
        goto out;
    }
    char *dot = strchr(copy, '.');
    const char *leaf = copy;
    if ((dot != NULL) != (free_sections[i].depth == 2)) {
        st = hone_fail(err, HONE_ERR_ARG, "--%s.%s: expected --%s.%s", free_sections[i].name, path,
                       free_sections[i].name,
                       free_sections[i].depth == 2 ? "COMPONENT.OPTION" : "OPTION");
        goto out;
    }
    if (dot) {
        *dot = '\0';
        leaf = dot + 1;
        json_t *inner = json_object_get(object, copy);
        if (!json_is_object(inner)) {
            inner = json_object();
            if (json_object_set_new(object, copy, inner))
                inner = NULL;
        }
        object = inner;
    }
    if (!object || json_object_set(object, leaf, v))
        st = hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
out:
    json_decref(v);
    free(copy);
    return st;
}

/* On the command line a dash is as good as an underscore: --plugin-dir, --train.seq-len. */
static bool same_flag(const char *key, const char *name)
{
    for (; *key && (*key == *name || (*key == '_' && *name == '-')); key++)
        name++;
    return !*key && !*name;
}

static const hone_option *find_row(const hone_option *rows, const char *name)
{
    for (; rows && rows->name; rows++)
        if (same_flag(rows->name, name))
            return rows;
    return NULL;
}

/* Where "--name" goes: an options record and the name within it, or a free section. */
typedef struct target {
    options *o;
    const char *name;
    const hone_option *row;
    size_t free_index; /* N_FREE: none */
} target;

static bool find_target(settings *s, options *flags, const char *name, target *t)
{
    *t = (target){ .free_index = N_FREE, .name = name };
    if (flags->table && (t->row = find_row(flags->table, name))) {
        t->o = flags;
        t->name = t->row->name;
        return true;
    }
    const char *dot = strchr(name, '.');
    if (!dot) {
        t->row = find_row(top_rows, name);
        t->o = &s->sections[0];
        t->name = t->row ? t->row->name : name;
        return t->row != NULL;
    }
    const size_t n = (size_t)(dot - name);
    for (size_t i = 1; i < N_SECTIONS; i++)
        if (strlen(sections[i].name) == n && strncmp(sections[i].name, name, n) == 0) {
            t->o = &s->sections[i];
            t->row = find_row(sections[i].rows, dot + 1);
            t->name = t->row ? t->row->name : dot + 1;
            return true; /* options_set names an unknown one */
        }
    for (size_t i = 0; i < N_FREE; i++)
        if (strlen(free_sections[i].name) == n && strncmp(free_sections[i].name, name, n) == 0) {
            t->free_index = i;
            t->name = dot + 1;
            return true;
        }
    return false;
}

/* "--plugin-dir A --plugin-dir B": the second would take the place of the first. Other settings
 * given twice are overridden, as scripts rely on. */
static hone_status check_once(int argc, char **argv, int at, const char *name, const target *t,
                              hone_error *err)
{
    const size_t n = strlen(name);
    if (!t->row || (t->row->type != HONE_OPT_LIST && t->row->type != HONE_OPT_PATHS))
        return HONE_OK;
    for (int i = at + 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strncmp(argv[i], "--", 2) == 0 && strncmp(argv[i] + 2, name, n) == 0 &&
            (argv[i][2 + n] == '\0' || argv[i][2 + n] == '='))
            return hone_fail(err, HONE_ERR_ARG,
                             "--%s is given twice; it takes a list: --%s FIRST,SECOND", name, name);
    return HONE_OK;
}

/* The flags struct and what it owns live as long as the process: commands read them. */
static options flag_options;

hone_status settings_set(settings *s, const char *name, const char *value, hone_error *err)
{
    target t;
    if (!find_target(s, &flag_options, name, &t))
        return unknown_key(name, err);
    return t.free_index < N_FREE ? set_free(s, t.free_index, t.name, value, err)
                                 : options_set(t.o, t.name, value, err);
}

static bool is_bool_word(const char *word)
{
    static const char *const words[] = { "true", "false", "yes", "no", "on", "off" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

static hone_status read_arguments(settings *s, const command *c, int argc, char **argv,
                                  arguments *a, hone_error *err)
{
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        char *arg = argv[i];
        if (only_operands || arg[0] != '-' || arg[1] == '\0') {
            if (c->config_operand && s->file && strcmp(arg, s->file) == 0 && a->n == 0)
                continue; /* read already */
            a->items[a->n++] = arg;
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            only_operands = true;
            continue;
        }
        if (arg[1] != '-')
            return hone_fail(err, HONE_ERR_ARG, "unknown flag '%s'; flags are spelled --name value",
                             arg);
        char *name = mem_strdup(arg + 2);
        if (!name)
            return hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
        char *equals = strchr(name, '=');
        const char *value = NULL;
        target t;
        hone_status st = HONE_OK;
        if (equals) {
            *equals = '\0';
            value = arg + 2 + (equals - name) + 1;
        }
        if (strcmp(name, "config") == 0) { /* read already */
            i += value ? 0 : 1;
        } else if (!find_target(s, &flag_options, name, &t)) {
            st = unknown_key(name, err);
        } else {
            const bool flag = t.row && t.row->type == HONE_OPT_BOOL;
            if (!value && flag && (i + 1 >= argc || !is_bool_word(argv[i + 1])))
                value = "true";
            else if (!value && i + 1 < argc)
                value = argv[++i];
            if (!value)
                st = hone_fail(err, HONE_ERR_ARG, "--%s needs a value", name);
            else if (t.free_index < N_FREE)
                st = set_free(s, t.free_index, t.name, value, err);
            else
                st = options_set(t.o, t.name, value, err);
            if (!st)
                st = check_once(argc, argv, i, name, &t, err);
        }
        free(name);
        if (st)
            return st;
    }
    return HONE_OK;
}

/* --config FILE, the first operand where the command takes it, or ./hone.json. */
static hone_status find_config(settings *s, const command *c, int argc, char **argv,
                               hone_error *err)
{
    const char *file = NULL;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0) {
            if (i + 1 == argc)
                return hone_fail(err, HONE_ERR_ARG, "--config needs a file");
            file = argv[i + 1];
        } else if (strncmp(argv[i], "--config=", 9) == 0) {
            file = argv[i] + 9;
        }
    }
    if (!file && c->config_operand && argc > 0 && argv[0][0] != '-')
        file = argv[0];
    if (!file && path_exists("hone.json"))
        file = "hone.json";
    if (file && !(s->file = mem_strdup(file)))
        return hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
    return HONE_OK;
}

hone_status settings_load(settings *s, const command *c, int argc, char **argv, arguments *a,
                          hone_error *err)
{
    char *base = NULL;
    hone_status st = HONE_OK;
    a->items = mem_new((size_t)argc + 1, sizeof *a->items);
    if (!a->items)
        return hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
    if (!c->stands_alone && (st = find_config(s, c, argc, argv, err)))
        return st;
    if (s->file && !(base = path_dir(s->file)))
        return hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
    if ((st = sections_init(s, base, err)))
        goto out;
    if ((st = options_init(&flag_options, c->flags, c->flag_values, "", NULL, err)))
        goto out;
    if (s->file && (st = read_config(s, err)))
        goto out;
    if ((st = read_arguments(s, c, argc, argv, a, err)))
        goto out;
    s->data_path =
        s->data.path ? mem_strdup(s->data.path) : path_join(s->prepare.out, "samples.jsonl");
    if (s->train.val)
        s->val_path = mem_strdup(s->train.val);
    else if (!s->data.path && s->prepare.split > 0 && !(s->train.val_split > 0))
        s->val_path = path_join(s->prepare.out, "val.jsonl");
    if (!s->data_path || (s->train.val && !s->val_path))
        st = hone_fail(err, HONE_ERR_NOMEM, "settings: no memory");
out:
    free(base);
    return st;
}

void settings_finish(settings *s)
{
    for (size_t i = 0; s->sections && i < N_SECTIONS; i++)
        options_finish(&s->sections[i]);
    free(s->sections);
    for (size_t i = 0; i < N_FREE; i++)
        json_decref(*free_section(s, i));
    free(s->file);
    free(s->data_path);
    free(s->val_path);
    options_finish(&flag_options);
    *s = (settings){ 0 };
}

json_t *settings_to_json(const settings *s)
{
    json_t *root = options_to_json(&s->sections[0]);
    for (size_t i = 1; i < N_SECTIONS; i++)
        (void)json_object_set_new(root, sections[i].name, options_to_json(&s->sections[i]));
    for (size_t i = 0; i < N_FREE; i++) {
        json_t *const *value =
            (json_t *const *)(const void *)((const char *)s + free_sections[i].offset);
        if (json_object_size(*value))
            (void)json_object_set(root, free_sections[i].name, *value);
    }
    return root;
}

/* Is `name` among the words of `names`? NULL: every name is. */
static bool is_among(const char *names, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = names; p && *p; p += strcspn(p, " "), p += *p == ' ')
        if (strcspn(p, " ") == n && strncmp(p, name, n) == 0)
            return true;
    return !names;
}

void settings_help(text *out, const char *names)
{
    for (size_t i = 0; i < N_SECTIONS; i++)
        if (is_among(names, sections[i].name) || !sections[i].name[0])
            options_help(out, sections[i].rows, sections[i].name);
    for (size_t i = 0; i < N_FREE; i++)
        if (is_among(names, free_sections[i].name))
            text_printf(out, "  --%s.*\n      %s\n", free_sections[i].name, free_sections[i].help);
    if (names)
        text_puts(out, "\nThe settings of the other commands may stand in the file as well; "
                       "`hone options` lists all.\n");
}

void settings_markdown(text *out)
{
    for (size_t i = 0; i < N_SECTIONS; i++) {
        text_printf(out, "\n## %s\n\n", sections[i].name[0] ? sections[i].name : "Top level");
        options_markdown(out, sections[i].rows, sections[i].name);
    }
    text_puts(
        out, "\n## Sections of plugins\n\n"
             "Their keys are the options of the component; `hone plugin info NAME` prints them.\n\n"
             "| section | holds |\n|---|---|\n");
    for (size_t i = 0; i < N_FREE; i++)
        text_printf(out, "| `%s` | %s |\n", free_sections[i].name, free_sections[i].help);
}
