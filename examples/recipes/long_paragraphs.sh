#!/bin/sh
# long_paragraphs.sh - a recipe for hone in shell: paragraphs of 80 characters and more, as raw text. Lines of
# blocks have their keys in the order of docs/programs.md, so the text can be cut out and passed on as it is.
while IFS= read -r line; do
    case $line in
    '{"end":true}') echo '{"end":true}' ;;
    '{"kind":"text","text":"'*)
        [ "${#line}" -ge 140 ] || continue
        printf '{%s}\n' "${line#'{"kind":"text",'}" | sed 's/}}$/}/'
        ;;
    esac
done
