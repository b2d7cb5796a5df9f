#!/bin/sh
# embed_prompt.sh FILE: a prompt as a C source, for the recipe that comes with it. GCC and clang take literals of
# any length; the standard's 4095 bytes are a minimum.
printf '/* Made from %s. SPDX-License-Identifier: Apache-2.0 */\nextern const char prompt_words[];\n' "${1##*/}"
printf '__extension__ const char prompt_words[] =\n'
sed 's/\\/\\\\/g; s/"/\\"/g; s/^/    "/; s/$/\\n"/' "$1"
printf '    ;\n'
