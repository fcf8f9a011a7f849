// The expected texts are what python-openstackclient 6.0 (cliff 4.0, PrettyTable 3.6, PyYAML 6.0, Python 3.11) prints.

#include <gtest/gtest.h>

#include <sstream>

#include "agent/ctl/format/format.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

std::string written(Output output, const FormatOptions& options) {
  std::ostringstream out;
  const auto done = write_output(out, std::move(output), options);
  return done ? out.str() : "error: " + done.error().message;
}

Listing flavors() {
  return {.columns = {"ID", "Name", "RAM", "Is Public"},
          .rows = {{plain_cell("1"), plain_cell("m1.tiny"), plain_cell(512), plain_cell(true)},
                   {plain_cell("42"), plain_cell("m1.a \"b\", c"), plain_cell(16384), plain_cell(nullptr)}}};
}

Details server() {
  Details details;
  details.add("OS-EXT-STS:task_state", plain_cell(nullptr));
  details.add("addresses", dict_of_lists_cell({{"net1", {"fd00::5", "10.0.0.5"}}, {"net2", {"10.1.0.7"}}}));
  details.add("created", plain_cell("2026-11-21T05:30:00Z"));
  details.add("name", plain_cell("a $(reboot) `x` \"q\" \\"));
  details.add("progress", plain_cell(0));
  details.add("properties", dict_cell({{"a", "1"}, {"b", nullptr}}));
  details.add("security_groups", list_of_dicts_cell({{{"name", "one"}}, {{"name", "two"}}}));
  return details;
}

TEST(CtlTable, NumbersStandRightAndTextLeftWithTheirHeadings) {
  EXPECT_EQ(written(flavors(), {}),
            "+----+-------------+-------+-----------+\n"
            "| ID | Name        |   RAM | Is Public |\n"
            "+----+-------------+-------+-----------+\n"
            "| 1  | m1.tiny     |   512 | True      |\n"
            "| 42 | m1.a \"b\", c | 16384 | None      |\n"
            "+----+-------------+-------+-----------+\n");
}

TEST(CtlTable, OneThingIsFieldAndValueWithColumnsInTheirHumanForm) {
  EXPECT_EQ(written(server(), {}),
            "+-----------------------+---------------------------------------+\n"
            "| Field                 | Value                                 |\n"
            "+-----------------------+---------------------------------------+\n"
            "| OS-EXT-STS:task_state | None                                  |\n"
            "| addresses             | net1=10.0.0.5, fd00::5; net2=10.1.0.7 |\n"
            "| created               | 2026-11-21T05:30:00Z                  |\n"
            "| name                  | a $(reboot) `x` \"q\" \\                 |\n"
            "| progress              | 0                                     |\n"
            "| properties            | a='1', b=                             |\n"
            "| security_groups       | name='one'                            |\n"
            "|                       | name='two'                            |\n"
            "+-----------------------+---------------------------------------+\n");
}

TEST(CtlTable, NothingIsAnEmptyLineUnlessTheEmptyTableIsAskedFor) {
  const Listing none{.columns = {"ID", "Name"}, .rows = {}};
  EXPECT_EQ(written(none, {}), "\n");
  EXPECT_EQ(written(none, {.print_empty = true}), "+----+------+\n| ID | Name |\n+----+------+\n");
}

TEST(CtlTable, MaxWidthWrapsTheWideColumnsOnly) {
  const Listing listing{.columns = {"ID", "RAM", "N"},
                        .rows = {{plain_cell("a\nbb"), plain_cell(128), plain_cell(nullptr)},
                                 {plain_cell("the quick brown-fox jumped over 5f2c-aabb-ccdd-eeff"), plain_cell(1), plain_cell("x")}}};
  EXPECT_EQ(written(listing, {.max_width = 25}),
            "+----------+-----+------+\n"
            "| ID       | RAM | N    |\n"
            "+----------+-----+------+\n"
            "| a        | 128 | None |\n"
            "| bb       |     |      |\n"
            "| the      |   1 | x    |\n"
            "| quick    |     |      |\n"
            "| brown-   |     |      |\n"
            "| fox      |     |      |\n"
            "| jumped   |     |      |\n"
            "| over 5f2 |     |      |\n"
            "| c-aabb-  |     |      |\n"
            "| ccdd-    |     |      |\n"
            "| eeff     |     |      |\n"
            "+----------+-----+------+\n");
}

TEST(CtlTable, FitWidthUsesTheTerminalAndIsNothingWithoutOne) {
  const Listing listing{.columns = {"Name"}, .rows = {{plain_cell("one two three four five six")}}};
  EXPECT_EQ(written(listing, {.fit_width = true, .terminal_columns = 18}),
            "+----------------+\n"
            "| Name           |\n"
            "+----------------+\n"
            "| one two three  |\n"
            "| four five six  |\n"
            "+----------------+\n");
  EXPECT_NE(written(listing, {.fit_width = true}).find("one two three four five six"), std::string::npos);
}

TEST(CtlTable, WideCharactersKeepTheColumnsAligned) {
  use_utf8_widths();
  const Listing listing{.columns = {"Name", "N"}, .rows = {{plain_cell("日本"), plain_cell(1)}, {plain_cell("e\u0301a"), plain_cell(2)}}};
  EXPECT_EQ(written(listing, {}),
            "+------+---+\n"
            "| Name | N |\n"
            "+------+---+\n"
            "| 日本 | 1 |\n"
            "| e\u0301a   | 2 |\n"
            "+------+---+\n");
}

TEST(CtlTable, ControlCharactersOfANameAreShownNotSent) {
  const Listing listing{.columns = {"Name"}, .rows = {{plain_cell("a\x1b]0;title\x07\x9b\u202e\tb")}}};
  const std::string text = written(listing, {});
  EXPECT_NE(text.find("| a\\x1b]0;title\\x07\\x9b\\u202e b |"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(CtlValue, PrintsPythonsOwnTextOfTheMachineForm) {
  EXPECT_EQ(written(flavors(), {.format = "value"}), "1 m1.tiny 512 True\n42 m1.a \"b\", c 16384 None\n");
  EXPECT_EQ(written(server(), {.format = "value"}),
            "None\n{'net1': ['fd00::5', '10.0.0.5'], 'net2': ['10.1.0.7']}\n2026-11-21T05:30:00Z\na $(reboot) `x` \"q\" \\\n0\n"
            "{'a': '1', 'b': None}\n[{'name': 'one'}, {'name': 'two'}]\n");
}

TEST(CtlValue, IsRawInAPipeAndSafeOnATerminal) {
  const Listing listing{.columns = {"Name"}, .rows = {{plain_cell("a\x1b[2J")}}};
  EXPECT_EQ(written(listing, {.format = "value"}), "a\x1b[2J\n");
  EXPECT_EQ(written(listing, {.format = "value", .to_terminal = true}), "a\\x1b[2J\n");
}

TEST(CtlCsv, QuotesWhatIsNoNumber) {
  EXPECT_EQ(written(flavors(), {.format = "csv"}),
            "\"ID\",\"Name\",\"RAM\",\"Is Public\"\n\"1\",\"m1.tiny\",512,True\n\"42\",\"m1.a \"\"b\"\", c\",16384,\"\"\n");
}

TEST(CtlCsv, FollowsTheQuoteMode) {
  EXPECT_EQ(written(flavors(), {.format = "csv", .quote = "minimal"}),
            "ID,Name,RAM,Is Public\n1,m1.tiny,512,True\n42,\"m1.a \"\"b\"\", c\",16384,\n");
  EXPECT_EQ(written(flavors(), {.format = "csv", .columns = {"Name"}, .quote = "none"}), "Name\nm1.tiny\nm1.a \\\"b\\\"\\, c\n");
  EXPECT_EQ(written(flavors(), {.format = "csv", .columns = {"RAM"}, .quote = "all"}), "\"RAM\"\n\"512\"\n\"16384\"\n");
}

TEST(CtlJson, KeepsTheColumnsOrderAndIsAscii) {
  const Listing listing{.columns = {"Name", "ID", "Tags"},
                        .rows = {{plain_cell("caf\u00e9"), plain_cell(1.0), list_cell(Json::array())},
                                 {plain_cell(nullptr), plain_cell(true), list_cell({"a"})}}};
  EXPECT_EQ(written(listing, {.format = "json"}),
            "[\n  {\n    \"Name\": \"caf\\u00e9\",\n    \"ID\": 1.0,\n    \"Tags\": []\n  },\n"
            "  {\n    \"Name\": null,\n    \"ID\": true,\n    \"Tags\": [\n      \"a\"\n    ]\n  }\n]\n");
  EXPECT_EQ(written(listing, {.format = "json", .noindent = true}),
            "[{\"Name\": \"caf\\u00e9\", \"ID\": 1.0, \"Tags\": []}, {\"Name\": null, \"ID\": true, \"Tags\": [\"a\"]}]\n");
}

TEST(CtlJson, NothingIsAnEmptyList) { EXPECT_EQ(written(Listing{.columns = {"ID"}, .rows = {}}, {.format = "json"}), "[]\n"); }

TEST(CtlYaml, QuotesTextThatReadsAsAnotherType) {
  Details details;
  details.add("created", plain_cell("2026-11-21T05:30:00Z"));
  details.add("empty", plain_cell(""));
  details.add("gone", plain_cell(nullptr));
  details.add("id", plain_cell("5f2c7c5e-27e8-4c36-9b9b-1b1f0e8c8a11"));
  details.add("name", plain_cell("it's: a # test"));
  details.add("number", plain_cell("42"));
  details.add("mac", plain_cell("00:16:3e:00:00:01"));
  details.add("plain", plain_cell("plain text"));
  details.add("power", plain_cell("1e3"));
  details.add("yes", plain_cell("yes"));
  EXPECT_EQ(written(details, {.format = "yaml"}),
            "created: '2026-11-21T05:30:00Z'\nempty: ''\ngone: null\nid: 5f2c7c5e-27e8-4c36-9b9b-1b1f0e8c8a11\n"
            "name: 'it''s: a # test'\nnumber: '42'\nmac: 00:16:3e:00:00:01\nplain: plain text\npower: '1e3'\n'yes': 'yes'\n");
}

TEST(CtlYaml, ListsAndMappingsAreBlocks) {
  const Listing listing{
      .columns = {"Name", "Networks", "Tags"},
      .rows = {{plain_cell("demo1"), dict_of_lists_cell({{"net1", {"10.0.0.5", "10.0.0.6"}}}), list_cell(Json::array())}}};
  EXPECT_EQ(written(listing, {.format = "yaml"}), "- Name: demo1\n  Networks:\n    net1:\n    - 10.0.0.5\n    - 10.0.0.6\n  Tags: []\n");
  EXPECT_EQ(written(Listing{.columns = {"ID"}, .rows = {}}, {.format = "yaml"}), "[]\n");
}

TEST(CtlYaml, EscapesWhatIsNotPrintableAscii) {
  Details details;
  details.add("name", plain_cell("a\x1b\u00e9\U0001F600"));
  EXPECT_EQ(written(details, {.format = "yaml"}), "name: \"a\\u001b\\u00e9\\U0001F600\"\n");
}

TEST(CtlShell, NothingInAValueRunsWhenItIsEvaluated) {
  EXPECT_EQ(written(server(), {.format = "shell", .columns = {"OS-EXT-STS:task_state", "name", "progress"}, .prefix = "S_"}),
            "S_os_ext_sts_task_state=\"None\"\nS_name=\"a \\$(reboot) \\`x\\` \\\"q\\\" \\\\\"\nS_progress=\"0\"\n");
}

TEST(CtlColumns, KeepTheTablesOrderAndUnknownOnesAreAnErrorThatListsThem) {
  EXPECT_EQ(written(flavors(), {.format = "value", .columns = {"RAM", "ID"}}), "1 512\n42 16384\n");
  EXPECT_EQ(written(flavors(), {.columns = {"ram"}}),
            "error: No recognized column names in ['ram']. Recognized columns are ('ID', 'Name', 'RAM', 'Is Public')");
}

TEST(CtlSort, GoesByTheFirstColumnAndPutsNoneLast) {
  const Listing listing{.columns = {"A", "B"},
                        .rows = {{plain_cell("x"), plain_cell(10)},
                                 {plain_cell("y"), plain_cell(nullptr)},
                                 {plain_cell("a"), plain_cell(9)},
                                 {plain_cell("b"), plain_cell(10)}}};
  EXPECT_EQ(written(listing, {.format = "value", .sort_columns = {"B", "A", "nonsense"}}), "a 9\nb 10\nx 10\ny None\n");
  EXPECT_EQ(written(listing, {.format = "value", .sort_columns = {"B"}, .sort_descending = true}), "y None\nx 10\nb 10\na 9\n");
}

TEST(CtlWrap, BreaksWhereTextwrapBreaks) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(wrap_line("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b", 10), (Lines{"aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa", "aaa b"}));
  EXPECT_EQ(wrap_line("foo  bar   baz qux", 7), (Lines{"foo", "bar", "baz qux"}));
  EXPECT_EQ(wrap_line("well-known x-y a1-b2 abc-1def", 5), (Lines{"well-", "known", "x-y", "a1-b2", "abc-", "1def"}));
  EXPECT_EQ(wrap_line("  leading spaces here", 6), (Lines{"  lead", "ing", "spaces", "here"}));
}

TEST(CtlConsole, KeepsTextAndColoursAndDropsWhatDrivesTheTerminal) {
  EXPECT_EQ(console_text_for_terminal("a\x1b[2Jb\x1b[1;31mred\x1b[0m\x1b]0;title\x07\tc\r\n\x1b[6n\x1b(B\x07"
                                      "d\xff\x1b[31"),
            "ab\x1b[1;31mred\x1b[0m\tc\r\nd?");
}

TEST(CtlPython, ReprQuotesAsPythonDoes) {
  EXPECT_EQ(python_repr("it's"), "\"it's\"");
  EXPECT_EQ(python_repr("it's \"x\""), "'it\\'s \"x\"'");
  EXPECT_EQ(python_repr(Json{{"a", {1, 2.5, false, nullptr, "b\n"}}}), "{'a': [1, 2.5, False, None, 'b\\n']}");
}

TEST(CtlSize, IsDecimalWithAtMostOneDigitBehindThePoint) {
  EXPECT_EQ(human_size(999), "999");
  EXPECT_EQ(human_size(1000), "1K");
  EXPECT_EQ(human_size(13287936), "13.3M");
}

}  // namespace
}  // namespace ca::ctl
