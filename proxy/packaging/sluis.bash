# Completion of sluis for bash. Commands and options come from `sluis --commands`, so that they are those of the program.
_sluis() {
    local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]} line="${COMP_WORDS[*]:1:COMP_CWORD-1}"
    local words=() kind name rest
    while IFS=$'\t' read -r kind name rest; do
        case $kind in
        command)
            name=${name#sluis }
            name=${name%% [A-Z\[]*}
            here=
            if [[ "$name" = "${line:+$line }"* ]]; then
                rest=${name#"${line:+$line }"}
                words+=("${rest%% *}")
            fi
            [[ "$line " = "$name "* ]] && here=1
            ;;
        option)
            [ -n "$here" ] || continue
            for rest in ${name//,/ }; do [[ "$rest" = --* ]] && words+=("$rest"); done
            ;;
        esac
    done < <(sluis --commands 2>/dev/null)
    case $last in
    -c | --config | -p | --policy | -o | --output | --out | --to | --from | -k | --checkpoint) words=() ;;
    *) [ "$line" = "${line% *}" ] || words+=(--help) ;;
    esac
    local IFS=$'\n'
    COMPREPLY=($(compgen -W "${words[*]}" -- "$word"))
    [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default 2>/dev/null
}
complete -F _sluis sluis
