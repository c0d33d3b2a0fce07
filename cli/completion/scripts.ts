// The completion scripts. Each hands the words to `tunctl __complete` and offers what it answers; what was typed is never
// evaluated. bash is 3.2 or later, with or without the package bash-completion.

// Readline cuts words at colons and the like (COMP_WORDBREAKS), and replaces the last piece alone: specs are put together
// again to ask, and what lies before the last piece is taken off the answers.
const bash = `# bash completion for tunctl
_tunctl() {
    local words=() n=-1 at=0 rest=$COMP_LINE piece=x blank cur= lead= left quoted= i
    for ((i = 0; i < \${#COMP_WORDS[@]}; i++)); do
        blank=\${rest%%[![:space:]]*}
        rest=\${rest#"$blank"}
        [[ $i -gt 0 && -z $blank && -n $piece ]] || words[++n]=
        piece=\${COMP_WORDS[i]}
        if ((i == COMP_CWORD)); then
            at=$n lead=\${words[n]} left=$((COMP_POINT - \${#COMP_LINE} + \${#rest}))
            # Between two blanks the cursor is at no word, but bash says that it is at the next one.
            ((left >= 0)) || left=0 words[++n]=
            cur=\${piece:0:left}
        fi
        words[n]+=$piece
        rest=\${rest#"$piece"}
    done
    # A piece of nothing but breaks lies before what is replaced.
    [[ -n $cur && -z \${cur//[$COMP_WORDBREAKS]/} && $cur != [\\"\\']* ]] && lead+=$cur cur=
    [[ $cur == [\\"\\']* ]] && quoted=yes
    lead=\${lead//[\\"\\'\\\\]/} cur=\${cur//[\\"\\'\\\\]/}
    words=("\${words[@]//[\\"\\'\\\\]/}")
    words[at]=$lead$cur
    COMPREPLY=()
    local kind word
    while IFS=$'\\t' read -r word _; do
        if [[ -z $kind ]]; then
            kind=$word
        elif [[ $word == "$lead$cur"* && $word != "$lead" ]]; then
            word=\${word#"$lead"}
            [[ -n $quoted ]] || printf -v word %q "$word"
            COMPREPLY+=("\${word//\\\\,/,}")
        fi
    done < <(command tunctl __complete $((at - 1)) "\${words[@]:1}" 2>/dev/null)
    [[ $kind != files ]] || compopt -o default 2>/dev/null
}
complete -F _tunctl tunctl
`;

const zsh = `#compdef tunctl
_tunctl() {
    local -a line answer entries
    local kind word about entry
    line=("\${(@Q)words[2,-1]}")
    line[CURRENT-1]=\${(Q)PREFIX}
    answer=("\${(@f)$(command tunctl __complete $((CURRENT - 2)) "\${(@)line}" 2>/dev/null)}")
    kind=\${answer[1]}
    if [[ $kind == files ]]; then
        [[ $PREFIX != --*=* ]] || compset -P 1 '*='
        _files
        return
    fi
    for entry in "\${(@)answer[2,-1]}"; do
        word=\${\${entry%%$'\\t'*}//\\\\/\\\\\\\\}
        about=\${entry#*$'\\t'}
        entries+=("\${word//:/\\\\:}\${about:+:$about}")
    done
    _describe tunctl entries
}
if [[ $funcstack[1] == _tunctl ]]; then
    _tunctl "$@"
else
    compdef _tunctl tunctl
fi
`;

// fish shows a completion no more of the line than what lies before the cursor.
const fish = `# fish completion for tunctl
function __tunctl_complete
    set -l before (commandline -opc)
    set -l raw (commandline -ct)
    set -l current (string unescape -- $raw; or string trim -l -c '"\\'' -- $raw)
    set -l answer (command tunctl __complete (math (count $before) - 1) $before[2..] "$current" 2>/dev/null)
    if test "$answer[1]" = files
        set -l head (string match -r -- '^--[^=]+=' "$current")
        for path in (__fish_complete_path (string replace -- "$head" '' "$current"))
            printf '%s%s\\n' "$head" $path
        end
    else
        printf '%s\\n' $answer[2..]
    end
end
complete -c tunctl -f -a '(__tunctl_complete)'
`;

/** What `tunctl completion SHELL` prints. */
export const scripts = { bash, zsh, fish } as const;
