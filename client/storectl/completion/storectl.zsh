#compdef storectl
# Completion of storectl for zsh: what `storectl completion zsh` prints. Source it, or name it _storectl in a folder of fpath.
_storectl() {
    local line kind
    local -a lines found
    lines=("${(@f)$("$words[1]" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    kind=$lines[1]
    if [[ $words[CURRENT] == --*=* ]]; then compset -P 1 '*='; fi
    for line in "${(@)lines[2,-1]}"; do
        found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    _describe -t words storectl found
    case $kind in
        files) _files ;;
        folders) _files -/ ;;
    esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _storectl "$@"; else compdef _storectl storectl; fi
