#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <set>

#include "agent/ctl/commands.h"
#include "agent/ctl/completion.h"
#include "agent/ctl/help.h"
#include "agent/ctl/parser.h"
#include "agent/ctl/text.h"
#include "tests/unit/ctl_fake_agent.h"

namespace ca::ctl {
namespace {

using Words = std::vector<std::string>;

ParsedLine parsed(const Words& words) {
  auto line = parse_line(words, all_commands());
  EXPECT_TRUE(line) << line.error().text;
  return line ? *line : ParsedLine{};
}

std::string usage_error(const Words& words) {
  const auto line = parse_line(words, all_commands());
  return line ? "no error" : line.error().text;
}

TEST(CtlParser, OptionsStandAnywhereAfterTheCommand) {
  const ParsedLine line = parsed({"server", "delete", "a", "--wait", "b", "--force", "c"});
  EXPECT_EQ(line.command->name, "server delete");
  EXPECT_EQ(line.args.all("<server>"), (Words{"a", "b", "c"}));
  EXPECT_TRUE(line.args.has("wait"));
  EXPECT_TRUE(line.args.has("force"));
}

TEST(CtlParser, ValuesComeAfterASpaceAnEqualsSignOrAShortOption) {
  const ParsedLine line = parsed({"server", "list", "--name=a=b", "--limit", "-1", "-fjson", "-c", "ID", "-c", "Name"});
  EXPECT_EQ(line.args.text("name"), "a=b");
  EXPECT_EQ(line.args.number("limit"), -1);
  EXPECT_EQ(line.args.text("format"), "json");
  EXPECT_EQ(line.args.all("column"), (Words{"ID", "Name"}));
}

TEST(CtlParser, GlobalOptionsStandBeforeOrAfterTheCommand) {
  EXPECT_EQ(parsed({"--timeout", "5", "server", "list"}).args.text("timeout"), "5");
  EXPECT_EQ(parsed({"server", "list", "--timeout", "5"}).args.text("timeout"), "5");
}

TEST(CtlParser, UniqueBeginningsOfCommandsAndOptionsCount) {
  const ParsedLine line = parsed({"serv", "li", "--no-name"});
  EXPECT_EQ(line.command->name, "server list");
  EXPECT_TRUE(line.args.has("no-name-lookup"));
  EXPECT_NE(
      usage_error({"server", "list", "--changes", "x"}).find("ambiguous option: --changes could match --changes-before, --changes-since"),
      std::string::npos);
}

TEST(CtlParser, TheLongestCommandWins) {
  EXPECT_EQ(parsed({"server", "event", "list", "demo1"}).command->name, "server event list");
  EXPECT_EQ(parsed({"hypervisor", "stats", "show"}).command->name, "hypervisor stats show");
}

TEST(CtlParser, WordsAfterTwoDashesAreNoOptions) { EXPECT_EQ(parsed({"server", "show", "--", "--wait"}).args.text("<server>"), "--wait"); }

TEST(CtlParser, WhatIsMissingOrTooMuchIsNamed) {
  EXPECT_NE(usage_error({"server", "show"}).find("computectl server show: error: the following arguments are required: <server>"),
            std::string::npos);
  EXPECT_NE(usage_error({"server", "create", "x"}).find("the following arguments are required: --flavor"), std::string::npos);
  EXPECT_NE(usage_error({"server", "show", "a", "b"}).find("unrecognized arguments: b"), std::string::npos);
  EXPECT_NE(usage_error({"server", "show", ""}).find("argument <server>: is empty"), std::string::npos);
  EXPECT_NE(usage_error({"server", "list", "--name"}).find("argument --name: expected one argument"), std::string::npos);
  EXPECT_NE(usage_error({"server", "list", "--statuss", "x"}).find("unrecognized arguments: --statuss (did you mean --status?)"),
            std::string::npos);
  EXPECT_NE(usage_error({"server", "list", "--long=1"}).find("argument --long: ignored explicit argument '1'"), std::string::npos);
}

TEST(CtlParser, BadValuesAreNamed) {
  EXPECT_NE(usage_error({"server", "list", "--limit", "many"}).find("argument --limit: invalid int value: 'many'"), std::string::npos);
  EXPECT_NE(usage_error({"server", "list", "-f", "xml"})
                .find("argument -f/--format: invalid choice: 'xml' (choose from 'csv', 'json', 'table', 'value', 'yaml')"),
            std::string::npos);
  EXPECT_NE(usage_error({"image", "create", "x", "--property", "novalue"}).find("Expected 'key=value' type, but got: novalue"),
            std::string::npos);
  EXPECT_NE(usage_error({"console", "log", "show", "x", "--lines", "-3"}).find("argument --lines: '-3' is negative"), std::string::npos);
  EXPECT_NE(usage_error({"server", "create", "x", "--flavor", "f", "--image", "i", "--nic", "net=5"})
                .find("Invalid argument net=5; argument must be of form"),
            std::string::npos);
  EXPECT_NE(usage_error({"server", "create", "x", "--flavor", "f", "--image", "i", "--nic", "net-id=1,port-id=2"}).find("not both"),
            std::string::npos);
  EXPECT_NE(usage_error({"subnet", "create", "x", "--network", "n", "--subnet-range", "r", "--allocation-pool", "start=1"})
                .find("Expected 'start=...,end=...'"),
            std::string::npos);
}

TEST(CtlParser, OptionsThatExcludeEachOtherAreRefused) {
  EXPECT_NE(usage_error({"server", "reboot", "--soft", "--hard", "x"}).find("argument --hard: not allowed with argument --soft"),
            std::string::npos);
}

TEST(CtlParser, AnUnknownCommandIsAnsweredWithTheNearest) {
  const std::string text = usage_error({"servr", "list"});
  EXPECT_TRUE(text.starts_with(
      "computectl: 'servr list' is not a computectl command. See 'computectl --help'.\nDid you mean one of these?\n  server list"))
      << text;
  const std::string known_noun = usage_error({"server", "resurrect"});
  EXPECT_NE(known_noun.find("\n  server reboot"), std::string::npos) << known_noun;
  EXPECT_EQ(usage_error({"server", "\x1b[2J"}).find('\x1b'), std::string::npos);
}

TEST(CtlParser, NoCommandIsAUsageError) {
  EXPECT_NE(usage_error({}).find("no command given"), std::string::npos);
  EXPECT_NE(usage_error({"--debug"}).find("no command given"), std::string::npos);
}

TEST(CtlHelp, IsReachedInEveryUsualWay) {
  EXPECT_EQ(parsed({"--help"}).kind, ParsedLine::Kind::kHelp);
  EXPECT_EQ(parsed({"help"}).kind, ParsedLine::Kind::kHelp);
  for (const Words& words : {Words{"help", "server", "create"}, Words{"server", "create", "--help"}, Words{"server", "create", "-h"}}) {
    const ParsedLine line = parsed(words);
    EXPECT_EQ(line.kind, ParsedLine::Kind::kHelp);
    ASSERT_NE(line.command, nullptr);
    EXPECT_EQ(line.command->name, "server create");
  }
}

TEST(CtlHelp, NamesEveryCommand) {
  const std::string help = global_help(all_commands());
  for (const Command& command : all_commands()) {
    EXPECT_NE(help.find("\n  " + std::string(command.name)), std::string::npos) << command.name;
    EXPECT_NE(help.find(std::string(command.summary).substr(0, 20)), std::string::npos) << command.name;
  }
}

TEST(CtlHelp, OfEveryCommandNamesItsOptionsAndItsArguments) {
  for (const Command& command : all_commands()) {
    const std::string help = command_help(command);
    EXPECT_TRUE(help.starts_with("usage: computectl " + std::string(command.name))) << help;
    for (const Option& option : command.options) {
      EXPECT_FALSE(option.help.empty()) << command.name << " " << option.names;
      for (const auto name : split_words(option.names))
        EXPECT_NE(help.find(std::string(name)), std::string::npos) << command.name << " " << name;
    }
    for (const Positional& positional : command.positionals) EXPECT_NE(help.find("\n  " + std::string(positional.name)), std::string::npos);
  }
}

Words shell_words(const std::string& line) {
  Words words;
  bool quoted = false;
  bool in_word = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      in_word = false;
    } else {
      if (!in_word) words.emplace_back();
      in_word = true;
      words.back() += c;
    }
  }
  return words;
}

TEST(CtlHelp, OfEveryCommandHasAnExampleThatParsesAsThatCommand) {
  for (const Command& command : all_commands()) {
    ASSERT_FALSE(command.example.empty()) << command.name;
    for (const std::string& line : split_lines(command.example)) {
      Words words = shell_words(line.substr(0, line.find(" > ")));
      ASSERT_EQ(words[0], "computectl") << line;
      words.erase(words.begin());
      EXPECT_EQ(parsed(words).command, &command) << line;
      EXPECT_NE(command_help(command).find("  " + line + "\n"), std::string::npos);
    }
  }
}

TEST(CtlTables, NamesOfCommandsAndOptionsAreUnique) {
  std::set<std::string_view> commands;
  for (const Command& command : all_commands()) {
    EXPECT_TRUE(commands.insert(command.name).second) << command.name;
    EXPECT_NE(command.run, nullptr) << command.name;
    std::set<std::string_view> names;
    for (const auto options : {command.options, format_options(command.display), global_options()}) {
      for (const Option& option : options) {
        for (const auto name : split_words(option.names)) EXPECT_TRUE(names.insert(name).second) << command.name << " " << name;
      }
    }
  }
}

// What bash offers when TAB is pressed behind the last of `words`.
std::set<std::string> offered(const Words& words, const std::string& function_computectl = "") {
  std::string script = bash_completion(all_commands()) + function_computectl + "\nCOMP_WORDS=(";
  for (const std::string& word : words) script += "'" + word + "' ";
  script += ")\nCOMP_CWORD=" + std::to_string(words.size() - 1) + "\n_computectl\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
  const TemporaryFile file(script);
  std::set<std::string> offers;
  FILE* pipe = ::popen(("bash --norc --noprofile -u " + file.path() + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return offers;
  std::array<char, 4096> line{};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
    std::string text = line.data();
    text.pop_back();
    offers.insert(text);
  }
  ::pclose(pipe);
  return offers;
}

TEST(CtlCompletion, OffersNounsThenVerbsThenOptions) {
  EXPECT_EQ(offered({"computectl", "se"}), (std::set<std::string>{"server"}));
  EXPECT_EQ(offered({"computectl", "server", "st"}), (std::set<std::string>{"start", "stop"}));
  EXPECT_EQ(offered({"computectl", "server", "event", ""}), (std::set<std::string>{"list", "show"}));
  EXPECT_EQ(offered({"computectl", "help", "hyper"}), (std::set<std::string>{"hypervisor"}));
  EXPECT_EQ(offered({"computectl", "server", "create", "--net"}), (std::set<std::string>{"--network"}));
  EXPECT_EQ(offered({"computectl", "--os-t"}), (std::set<std::string>{"--os-token"}));
}

TEST(CtlCompletion, OffersFixedValues) {
  EXPECT_EQ(offered({"computectl", "server", "list", "-f", "j"}), (std::set<std::string>{"json"}));
  EXPECT_EQ(offered({"computectl", "image", "create", "--disk-format", "q"}), (std::set<std::string>{"qcow2"}));
}

TEST(CtlCompletion, OffersNamesThatTheAgentHas) {
  const std::string fake = "\ncomputectl() { printf '%s\\n' \"$*\" demo1 'demo two' other; }\n";
  EXPECT_EQ(offered({"computectl", "server", "show", "demo"}, fake), (std::set<std::string>{"demo1", "demo\\ two"}));
  EXPECT_EQ(offered({"computectl", "keypair", "delete", "--ti"}, fake), (std::set<std::string>{"--timeout"}));
}

}  // namespace
}  // namespace ca::ctl
