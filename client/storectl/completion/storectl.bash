# Completion of storectl for bash 3.2 and newer: what `storectl completion bash` prints.
_storectl() {
    local kind value IFS=$' \t\n'
    COMPREPLY=()
    {
        IFS= read -r kind
        while IFS=$'\t' read -r value _; do
            COMPREPLY+=("$value")
        done
    } < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    [ "$kind" != words ] || return 0
    local current=${COMP_WORDS[COMP_CWORD]}
    [ "$current" != = ] || current=
    compopt -o filenames 2>/dev/null
    while IFS= read -r value; do
        COMPREPLY+=("$value")
    done < <(if [ "$kind" = folders ]; then compgen -d -- "$current"; else compgen -f -- "$current"; fi)
}
complete -F _storectl storectl
