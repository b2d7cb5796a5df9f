#include "core/data/tokenizer_impl.h"
hone_status tokenizer_from_spm(tokenizer **out, const char *p, size_t n, hone_error *err)
{
    (void)out;
    (void)p;
    (void)n;
    return hone_fail(err, HONE_ERR_UNSUPPORTED, "tokenizer.model: not yet");
}
