#!/bin/sh
# embed_prompt.sh FILE NAME: a prompt as a C string, for the recipe that comes with it. GCC and clang take literals
# of any length; the standard's 4095 bytes are a minimum.
printf '/* Made from %s. SPDX-License-Identifier: Apache-2.0 */\n__extension__ static const char %s[] =\n' "${1##*/}" "$2"
sed 's/\\/\\\\/g; s/"/\\"/g; s/^/    "/; s/$/\\n"/' "$1"
printf '    ;\n'
