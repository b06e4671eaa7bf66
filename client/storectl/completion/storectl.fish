# Completion of storectl for fish: what `storectl completion fish` prints.
function __storectl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l option (string match -r -- '^--[^=]*=' $words[-1]; or echo '')
    set -l lines ($words[1] complete -- $words[2..] 2>/dev/null)
    for line in $lines[2..]
        echo $option$line
    end
    set -l current (string replace -r -- '^--[^=]*=' '' $words[-1])
    switch "$lines[1]"
        case files
            for path in (__fish_complete_path $current); echo $option$path; end
        case folders
            for path in (__fish_complete_directories $current ''); echo $option$path; end
    end
end
complete --command storectl --no-files --arguments '(__storectl_complete)'
