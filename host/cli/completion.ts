/** Completion in bash and zsh: scripts made of the definitions, which ask nobody and start nothing. */

import { Exit } from "./command.js";
import { type Command, hasVerbs, type Option, type Verb, verb, wordsOf } from "./definition.js";
import { spellings } from "./help.js";

const SHELLS = ["bash", "zsh"] as const;
type Shell = (typeof SHELLS)[number];

export function completion(commands: () => readonly Command[]): Command {
  const shell = (name: Shell, where: string) =>
    verb({
      name,
      summary: `print the script for ${name}`,
      text: "Prints a script that completes commands, options and values in a shell.",
      args: [],
      options: {},
      examples: [`completion ${name} > ${where}`],

      act() {
        process.stdout.write(completionScript(name, commands()));
        return Exit.Ok;
      },
    });
  return {
    name: "completion",
    group: "Tools",
    summary: "print a script that completes commands in a shell",
    verbs: [
      shell("bash", "/etc/bash_completion.d/crosszone"),
      shell("zsh", "/usr/local/share/zsh/site-functions/_crosszone"),
    ],
  };
}

export function completionScript(shell: Shell, commands: readonly Command[]): string {
  return shell === "bash" ? bashScript(commands) : zshScript(commands);
}

/** A verb by the words that call it. */
interface Place {
  readonly words: string;
  readonly verb: Verb;
}

function places(commands: readonly Command[]): Place[] {
  return commands.flatMap((each) =>
    each.verbs.map((verb) => ({ words: wordsOf(each, verb), verb })),
  );
}

function bashScript(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name).join(" ");
  const verbs = commands.filter(hasVerbs).map(({ name, verbs }) => {
    const words = verbs.map((each) => each.name).join(" ");
    return `    ${name})
      if ((COMP_CWORD == 2)); then
        COMPREPLY=($(compgen -W '${words}' -- "$cur"))
        return
      fi
      words="${name} \${COMP_WORDS[2]}"
      ;;`;
  });
  const options = places(commands).map(({ words, verb }) => {
    const all = Object.entries(verb.options).flatMap(([name, option]) => spellings(name, option));
    return `      '${words}') COMPREPLY=($(compgen -W '${[...all, "--help"].join(" ")}' -- "$cur")) ;;`;
  });
  const files = places(commands).filter(({ verb }) =>
    verb.args.some(({ names }) => names === "file"),
  );
  return `# bash completion for crosszone, made by \`crosszone completion bash\`
_crosszone_names() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_crosszone() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} words=\${COMP_WORDS[1]}
  COMPREPLY=()
  # --option=value comes as three words.
  if [[ $cur == '=' ]]; then
    cur=
  elif [[ $prev == '=' ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${names} help' -- "$cur"))
    return
  fi
  case $words in
    help)
      COMPREPLY=($(compgen -W '${names}' -- "$cur"))
      return
      ;;
${verbs.join("\n")}
  esac
  case "$words $prev" in
${bashValues(commands).join("\n")}
  esac
  if [[ $cur == -* ]]; then
    case $words in
${options.join("\n")}
    esac
    return
  fi
  case $words in
    ${files.map(({ words }) => `'${words}'`).join(" | ")}) _crosszone_names -f "$cur" ;;
  esac
}

complete -F _crosszone crosszone
`;
}

/** What may follow an option; one that means the same everywhere has one line. */
function bashValues(commands: readonly Command[]): string[] {
  const byAction = new Map<string, Map<string, string[]>>();
  for (const { words, verb } of places(commands)) {
    for (const [name, option] of Object.entries(verb.options)) {
      if (option.type === "boolean") continue;
      for (const spelling of spellings(name, option)) {
        const actions = byAction.get(spelling) ?? new Map<string, string[]>();
        const action = bashAction(option);
        actions.set(action, [...(actions.get(action) ?? []), `'${words} ${spelling}'`]);
        byAction.set(spelling, actions);
      }
    }
  }
  return [...byAction].flatMap(([spelling, actions]) =>
    [...actions].map(([action, patterns]) => {
      const pattern = actions.size === 1 ? `*' ${spelling}'` : patterns.join(" | ");
      return `    ${pattern}) ${action} ;;`;
    }),
  );
}

function bashAction({ words, choices = words, names }: Option): string {
  if (choices !== undefined) {
    return `COMPREPLY=($(compgen -W '${choices.join(" ")}' -- "$cur")); return`;
  }
  if (names === undefined) return "return";
  return `_crosszone_names ${names === "folder" ? "-d" : "-f"} "$cur"; return`;
}

function zshScript(commands: readonly Command[]): string {
  const lines = (rows: readonly { name: string; summary: string }[]) =>
    rows.map(({ name, summary }) => `    ${zshQuoted(`${name}:${summary}`)}`).join("\n");
  const verbs = commands.filter(hasVerbs).map(({ name, verbs }) => {
    return `    ${name})
      if ((CURRENT == 2)); then
        local -a verbs=(
${lines(verbs)}
        )
        _describe -t verbs '${name}' verbs
        return
      fi
      called="${name} $words[2]"
      shift words
      ((CURRENT--))
      ;;`;
  });
  const cases = places(commands).map(({ words, verb }) => {
    return `    '${words}')\n      _arguments -s : \\\n${zshArguments(verb)}\n      ;;`;
  });
  return `#compdef crosszone
# zsh completion for crosszone, made by \`crosszone completion zsh\`
_crosszone() {
  local -a commands=(
${lines(commands)}
  )
  if ((CURRENT == 2)); then
    _describe -t commands 'command' commands
    return
  fi
  local called=$words[2]
  shift words
  ((CURRENT--))
  case $called in
    help)
      _describe -t commands 'command' commands
      return
      ;;
${verbs.join("\n")}
  esac
  case $called in
${cases.join("\n")}
  esac
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _crosszone "$@"
else
  compdef _crosszone crosszone
fi
`;
}

function zshArguments({ args, options }: Verb): string {
  const described = Object.entries(options).map(([name, option]) => zshOption(name, option));
  const placed = args.map(({ name, names, isOptional = false }) => {
    const action = names === "file" ? "_files" : " ";
    return zshQuoted(`${isOptional ? "::" : ":"}${name}:${action}`);
  });
  const help = zshQuoted("--help[say more]");
  return [...described, help, ...placed].map((each) => `        ${each}`).join(" \\\n");
}

function zshOption(name: string, option: Option): string {
  const { type, value = "VALUE", help, multiple = false, names, isLone = false } = option;
  const { words, choices = words } = option;
  const spelled = spellings(name, option);
  const others = spelled.length === 1 || multiple ? "" : `(${spelled.join(" ")})`;
  const repeated = multiple ? "*" : "";
  const text = help.replace(/[.;:,] .*$/s, "").replace(/[[\]:\\]/g, "\\$&");
  const offered =
    choices !== undefined
      ? `(${choices.join(" ")})`
      : names === "file"
        ? "_files"
        : names === "folder"
          ? "_files -/"
          : " ";
  const taken =
    type === "boolean" ? "" : `${isLone ? "::" : ":"}${value.replace(/:/g, "\\:")}:${offered}`;
  const specs = spelled.map((each) => {
    const isLong = each.startsWith("--") && type !== "boolean";
    return zshQuoted(`${others}${repeated}${each}${isLong ? "=" : ""}[${text}]${taken}`);
  });
  return specs.join(" ");
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
