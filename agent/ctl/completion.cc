#include "agent/ctl/completion.h"

#include <map>
#include <set>

#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

constexpr std::string_view kHeader = R"sh(# bash completion for computectl, made by "computectl complete"
_computectl()
{
  local cur prev words cword
  COMPREPLY=()
  if declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref -n : cur prev words cword
  else
    words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword-1]}
  fi

  # what follows each word of a command, and each command's options, arguments and fixed values
  local -A next options nouns choices
)sh";

// Walks the words before the cursor down the tree of commands, then offers: a fixed value after an option that has some, options
// after a dash, names of the kind that the command takes, or file names after an option with a value.
constexpr std::string_view kBody = R"sh(
  local command="" word i
  for ((i = 1; i < cword; i++)); do
    word=${words[i]}
    [[ $i == 1 && $word == help ]] && continue
    if [[ $word != -* && " ${next[":$command"]-} " == *" $word "* ]]; then
      command="${command:+$command }$word"
    elif [[ -n ${options[":$command"]+x} ]]; then
      break
    fi
  done

  if [[ $prev == -* && -n ${choices[":$command $prev"]+x} ]]; then
    COMPREPLY=($(compgen -W "${choices[":$command $prev"]}" -- "$cur"))
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "${options[":$command"]-$global}" -- "$cur"))
  elif [[ $prev == -* && " $valued " == *" $prev "* ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  elif [[ -n ${next[":$command"]+x} ]]; then
    COMPREPLY=($(compgen -W "${next[":$command"]}" -- "$cur"))
  elif [[ -n ${nouns[":$command"]+x} ]]; then
    local name
    while read -r name; do
      [[ $name == "$cur"* ]] && COMPREPLY+=("$(printf %q "$name")")
    done < <("${words[0]}" --timeout 2 "${nouns[":$command"]}" list -f value -c Name 2>/dev/null)
  fi
  return 0
}
complete -F _computectl computectl
)sh";

// What `X list -f value -c Name` lists for a positional.
std::string noun_of(const Command& command) {
  for (const Positional& positional : command.positionals) {
    const std::string name(positional.name.substr(1, positional.name.size() - 2));
    for (const std::string_view noun : {"server", "image", "flavor", "network", "subnet"}) {
      if (name == noun) return name;
    }
    if (name == "key") return "keypair";
  }
  return {};
}

std::string assignment(std::string_view array, const std::string& key, const std::string& value) {
  return "  " + std::string(array) + "[':" + key + "']='" + value + "'\n";
}

void collect(std::span<const Option> options, const std::string& command, std::set<std::string>& names, std::set<std::string>& valued,
             std::string& choices) {
  for (const Option& option : options) {
    for (const std::string_view name : split_words(option.names)) {
      names.emplace(name);
      if (!option.metavar.empty()) valued.emplace(name);
      if (!option.choices.empty()) choices += assignment("choices", command + " " + std::string(name), std::string(option.choices));
    }
  }
}

std::string words_of(const std::set<std::string>& words) { return join({words.begin(), words.end()}, " "); }

}  // namespace

std::string bash_completion(std::span<const Command> commands) {
  std::map<std::string, std::set<std::string>> next;
  std::set<std::string> valued;
  std::string tables;
  for (const Command& command : commands) {
    std::string path;
    for (const std::string_view part : split_words(command.name)) {
      next[path].emplace(part);
      path += (path.empty() ? "" : " ") + std::string(part);
    }
    std::set<std::string> names;
    collect(command.options, path, names, valued, tables);
    collect(format_options(command.display), path, names, valued, tables);
    collect(global_options(), path, names, valued, tables);
    tables += assignment("options", path, words_of(names));
    if (const std::string noun = noun_of(command); !noun.empty()) tables += assignment("nouns", path, noun);
  }
  std::set<std::string> global;
  std::string none;
  collect(global_options(), "", global, valued, none);
  std::string out(kHeader);
  next[""].emplace("help");
  for (const auto& [path, words] : next) out += assignment("next", path, words_of(words));
  out += tables;
  out += "  local global='" + words_of(global) + "' valued='" + words_of(valued) + "'\n";
  return out + std::string(kBody);
}

}  // namespace ca::ctl
