// Whole command lines against canned answers: what is asked of the agent, what is printed, which exit status.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "agent/ctl/text.h"
#include "tests/unit/ctl_fake_agent.h"

namespace ca::ctl {
namespace {

using Lines = std::vector<std::string>;

constexpr const char* kId = "5f2c7c5e-27e8-4c36-9b9b-1b1f0e8c8a11";
constexpr const char* kOtherId = "8f056fce-b04e-4956-99e0-d2f8b9ae909a";
constexpr const char* kImage = "70a599e0-31e7-49b7-b260-868f441e862b";
const std::string kServers = "/compute/v2.1/servers";

Json server(const std::string& status = "ACTIVE", const Json& task = nullptr) {
  return {{"id", kId},
          {"name", "demo1"},
          {"status", status},
          {"tenant_id", "admin"},
          {"metadata", {{"role", "web"}}},
          {"image", {{"id", kImage}, {"links", Json::array()}}},
          {"flavor", {{"original_name", "m1.tiny"}, {"vcpus", 1}, {"ram", 128}, {"extra_specs", Json::object()}}},
          {"addresses", {{"net1", {{{"addr", "10.0.0.5"}, {"version", 4}}, {{"addr", "fd00::5"}, {"version", 6}}}}}},
          {"OS-EXT-STS:power_state", 1},
          {"OS-EXT-STS:task_state", task},
          {"OS-EXT-SRV-ATTR:host", "host1"},
          {"OS-EXT-AZ:availability_zone", "nova"},
          {"security_groups", {{{"name", "default"}}}},
          {"links", Json::array()},
          {"tags", {"b", "a"}}};
}

Json failed_server() {
  Json failed = server("ERROR");
  failed["fault"] = {{"code", 500},
                     {"message", "cannot define the domain"},
                     {"causes", {"cannot define the domain", "libvirt: unsupported machine type"}},
                     {"next_action", "choose another hw_machine_type"}};
  return failed;
}

// An agent that has the server demo1, the image demo, the flavor m1.tiny and the network net1.
class CtlCommands : public ::testing::Test {
 protected:
  CtlCommands() {
    agent_.on("GET", kServers + "?name=demo1", {{"servers", {{{"id", kId}, {"name", "demo1"}}, {{"id", kOtherId}, {"name", "demo10"}}}}});
    agent_.on("GET", "/image/v2/images?name=demo", {{"images", {{{"id", kImage}, {"name", "demo"}}}}});
    agent_.on("GET", std::string("/image/v2/images/") + kImage, {{"id", kImage}, {"name", "demo"}});
    agent_.on("GET", "/image/v2/images", {{"images", {{{"id", kImage}, {"name", "demo"}}}}});
    agent_.on(
        "GET", "/compute/v2.1/flavors/detail?is_public=None",
        {{"flavors", {{{"id", "1"}, {"name", "m1.tiny"}, {"extra_specs", {{"a", "b"}, {"hw:x", "y"}}}}, {{"id", "2"}, {"name", "1"}}}}});
    agent_.on("GET", "/network/v2.0/networks?name=net1", {{"networks", {{{"id", "n-1"}, {"name", "net1"}}}}});
  }

  Outcome ctl(const std::vector<std::string>& words) { return run(agent_, words); }
  std::string server_path() const { return kServers + "/" + kId; }

  FakeAgent agent_;
};

TEST_F(CtlCommands, ServerListHasTheClientsColumnsAndAsksForImagesOnce) {
  Json second = server("SHUTOFF");
  second["id"] = kOtherId;
  second["image"] = "";
  second["addresses"] = Json::object();
  agent_.on("GET", kServers + "/detail", {{"servers", {server(), second}}});
  EXPECT_EQ(ctl({"server", "list"}).out,
            "+--------------------------------------+-------+---------+------------------------+--------------------------+---------+\n"
            "| ID                                   | Name  | Status  | Networks               | Image                    | Flavor  |\n"
            "+--------------------------------------+-------+---------+------------------------+--------------------------+---------+\n"
            "| 5f2c7c5e-27e8-4c36-9b9b-1b1f0e8c8a11 | demo1 | ACTIVE  | net1=10.0.0.5, fd00::5 | demo                     | m1.tiny |\n"
            "| 8f056fce-b04e-4956-99e0-d2f8b9ae909a | demo1 | SHUTOFF |                        | N/A (booted from volume) | m1.tiny |\n"
            "+--------------------------------------+-------+---------+------------------------+--------------------------+---------+\n");
  EXPECT_EQ(agent_.lines(), (Lines{"GET " + kServers + "/detail", "GET /image/v2/images"}));
}

TEST_F(CtlCommands, ServerListWithoutNameLookupIsOneCall) {
  agent_.on("GET", kServers + "/detail", {{"servers", {server()}}});
  EXPECT_EQ(ctl({"server", "list", "-n", "-f", "csv"}).out,
            "\"ID\",\"Name\",\"Status\",\"Networks\",\"Image\",\"Flavor\"\n"
            "\"5f2c7c5e-27e8-4c36-9b9b-1b1f0e8c8a11\",\"demo1\",\"ACTIVE\",\"{'net1': ['10.0.0.5', "
            "'fd00::5']}\",\"70a599e0-31e7-49b7-b260-868f441e862b\",\"m1.tiny\"\n");
  EXPECT_EQ(agent_.requests().size(), 1U);
}

TEST_F(CtlCommands, ServerListLongAddsItsColumns) {
  agent_.on("GET", kServers + "/detail", {{"servers", {server("BUILD", "spawning")}}});
  EXPECT_EQ(ctl({"server", "list", "--long", "-f", "json", "--noindent"}).out,
            "[{\"ID\": \"5f2c7c5e-27e8-4c36-9b9b-1b1f0e8c8a11\", \"Name\": \"demo1\", \"Status\": \"BUILD\", \"Task State\": \"spawning\", "
            "\"Power State\": 1, "
            "\"Networks\": {\"net1\": [\"10.0.0.5\", \"fd00::5\"]}, \"Image Name\": \"demo\", \"Image ID\": "
            "\"70a599e0-31e7-49b7-b260-868f441e862b\", "
            "\"Flavor\": \"m1.tiny\", \"Availability Zone\": \"nova\", \"Host\": \"host1\", \"Properties\": {\"role\": \"web\"}}]\n");
  const Outcome table = ctl({"server", "list", "--long", "-c", "Power State", "-c", "Properties"});
  EXPECT_EQ(table.out,
            "+-------------+------------+\n| Power State | Properties |\n+-------------+------------+\n| Running     | role='web' "
            "|\n+-------------+------------+\n");
}

TEST_F(CtlCommands, ServerListSendsItsFilters) {
  agent_.on("GET",
            kServers + "/detail?name=a%5E&status=ACTIVE&host=h&power_state=4&flavor=1&image=" + kImage + "&all_tenants=True&marker=" + kId +
                "&limit=5",
            {{"servers", Json::array()}});
  const Outcome outcome = ctl({"server", "list", "--name", "a^", "--status", "ACTIVE", "--host", "h", "--power-state", "shutdown",
                               "--flavor", "m1.tiny", "--image", "demo", "--all-projects", "--marker", "demo1", "--limit", "5"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "\n");
}

TEST_F(CtlCommands, ServerShowIsSortedAndNamesItsImage) {
  agent_.on("GET", server_path(), {{"server", server()}});
  EXPECT_EQ(ctl({"server", "show", "demo1"}).out,
            "+-----------------------------+-----------------------------------------------+\n"
            "| Field                       | Value                                         |\n"
            "+-----------------------------+-----------------------------------------------+\n"
            "| OS-EXT-AZ:availability_zone | nova                                          |\n"
            "| OS-EXT-SRV-ATTR:host        | host1                                         |\n"
            "| OS-EXT-STS:power_state      | Running                                       |\n"
            "| OS-EXT-STS:task_state       | None                                          |\n"
            "| addresses                   | net1=10.0.0.5, fd00::5                        |\n"
            "| flavor                      | original_name='m1.tiny', ram='128', vcpus='1' |\n"
            "| id                          | 5f2c7c5e-27e8-4c36-9b9b-1b1f0e8c8a11          |\n"
            "| image                       | demo (70a599e0-31e7-49b7-b260-868f441e862b)   |\n"
            "| name                        | demo1                                         |\n"
            "| project_id                  | admin                                         |\n"
            "| properties                  | role='web'                                    |\n"
            "| security_groups             | name='default'                                |\n"
            "| status                      | ACTIVE                                        |\n"
            "| tags                        | a, b                                          |\n"
            "+-----------------------------+-----------------------------------------------+\n");
}

TEST_F(CtlCommands, ServerShowPrintsAFaultAsAnErrorIsPrinted) {
  agent_.on("GET", server_path(), {{"server", failed_server()}});
  EXPECT_EQ(ctl({"server", "show", "-c", "fault", kId}).out,
            "+-------+--------------------------------------------+\n"
            "| Field | Value                                      |\n"
            "+-------+--------------------------------------------+\n"
            "| fault | cannot define the domain                   |\n"
            "|       | because: libvirt: unsupported machine type |\n"
            "|       | what to do: choose another hw_machine_type |\n"
            "|       | code='500'                                 |\n"
            "+-------+--------------------------------------------+\n");
}

TEST_F(CtlCommands, ServerShowTakesAnIdInOneCall) {
  agent_.on("GET", server_path(), {{"server", server()}});
  EXPECT_EQ(ctl({"server", "show", "-f", "value", "-c", "status", kId}).out, "ACTIVE\n");
  EXPECT_EQ(agent_.lines()[0], "GET " + server_path());
}

TEST_F(CtlCommands, AnAmbiguousNameIsAnErrorThatListsTheIds) {
  agent_.on("GET", kServers + "?name=web", {{"servers", {{{"id", kId}, {"name", "web"}}, {{"id", kOtherId}, {"name", "web"}}}}});
  const Outcome outcome = ctl({"server", "show", "web"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, std::string("More than one server exists with the name 'web': ") + kId + ", " + kOtherId +
                             "\nwhat to do: give one of these ids instead of the name\n");
}

TEST_F(CtlCommands, AnUnknownNameIsAnErrorThatSaysWhereToLook) {
  agent_.on("GET", kServers + "?name=nobody", {{"servers", Json::array()}});
  const Outcome outcome = ctl({"server", "stop", "nobody"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "No server with a name or ID of 'nobody' exists.\nwhat to do: see which there are: computectl server list\n");
}

TEST_F(CtlCommands, ANameWithSpecialCharactersIsNotSentAsAPattern) {
  agent_.on("GET", kServers, {{"servers", {{{"id", kId}, {"name", "c++ (1)"}}}}});
  agent_.on("GET", server_path(), {{"server", server()}});
  EXPECT_EQ(ctl({"server", "show", "c++ (1)"}).status, 0);
}

TEST_F(CtlCommands, AnIdWinsOverAName) { EXPECT_EQ(ctl({"flavor", "show", "1", "-f", "value", "-c", "name"}).out, "m1.tiny\n"); }

TEST_F(CtlCommands, ServerCreateSendsWhatIsAskedFor) {
  const TemporaryFile user_data("#!/bin/sh\necho hi\n");
  agent_.on("POST", kServers, {{"server", {{"id", kId}, {"links", Json::array()}, {"adminPass", "x"}}}}, 202);
  agent_.on("GET", server_path(), {{"server", server("BUILD", "scheduling")}});
  const Outcome outcome = ctl({"server",
                               "create",
                               "--flavor",
                               "m1.tiny",
                               "--image",
                               "demo",
                               "--nic",
                               "net-id=net1,v4-fixed-ip=10.0.0.9",
                               "--network",
                               "net1",
                               "--key-name",
                               "k",
                               "--property",
                               "a=b=c",
                               "--user-data",
                               user_data.path(),
                               "--use-config-drive",
                               "--hostname",
                               "h",
                               "--tag",
                               "t",
                               "--max",
                               "2",
                               "demo1",
                               "-f",
                               "value",
                               "-c",
                               "status"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "BUILD\n");
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"server",
                                               {{"name", "demo1"},
                                                {"imageRef", kImage},
                                                {"flavorRef", "1"},
                                                {"min_count", 1},
                                                {"max_count", 2},
                                                {"key_name", "k"},
                                                {"metadata", {{"a", "b=c"}}},
                                                {"user_data", "IyEvYmluL3NoCmVjaG8gaGkK"},
                                                {"config_drive", true},
                                                {"hostname", "h"},
                                                {"tags", {"t"}},
                                                {"networks", {{{"uuid", "n-1"}, {"fixed_ip", "10.0.0.9"}}, {{"uuid", "n-1"}}}}}}}));
}

TEST_F(CtlCommands, ServerCreateWithoutNetworkAsksForAuto) {
  agent_.on("POST", kServers, {{"server", {{"id", kId}}}}, 202);
  agent_.on("GET", server_path(), {{"server", server()}});
  EXPECT_EQ(ctl({"server", "create", "--flavor", "m1.tiny", "--image", "demo", "demo1"}).status, 0);
  EXPECT_EQ(agent_.last("POST").json()["server"]["networks"], "auto");
}

TEST_F(CtlCommands, ServerCreateWaitsWithGrowingPauses) {
  agent_.on("POST", kServers, {{"server", {{"id", kId}}}}, 202);
  for (int i = 0; i < 12; ++i) agent_.on("GET", server_path(), {{"server", server("BUILD", "spawning")}});
  agent_.on("GET", server_path(), {{"server", server()}});
  RunOptions options{.url = agent_.url()};
  const Outcome outcome =
      run({"server", "create", "--flavor", "m1.tiny", "--image", "demo", "--wait", "demo1", "-f", "value", "-c", "status"}, options);
  EXPECT_EQ(outcome.out, "ACTIVE\n");
  EXPECT_EQ(outcome.err, "");
  ASSERT_EQ(options.slept_ms.size(), 12U);
  EXPECT_EQ(options.slept_ms.front(), 50);
  EXPECT_EQ(options.slept_ms.back(), 1000);
}

TEST_F(CtlCommands, WaitingShowsStatusAndTaskOnATerminal) {
  agent_.on("POST", kServers, {{"server", {{"id", kId}}}}, 202);
  agent_.on("GET", server_path(), {{"server", server("BUILD", "spawning")}});
  agent_.on("GET", server_path(), {{"server", server()}});
  RunOptions options{.url = agent_.url(), .terminal = true};
  const Outcome outcome = run({"server", "create", "--flavor", "m1.tiny", "--image", "demo", "--wait", "demo1"}, options);
  EXPECT_EQ(outcome.err, "\r\x1b[Kdemo1: BUILD (spawning)\r\x1b[K");
}

TEST_F(CtlCommands, AFailedBuildEndsTheWaitWithItsFault) {
  agent_.on("POST", kServers, {{"server", {{"id", kId}}}}, 202);
  agent_.on("GET", server_path(), {{"server", server("BUILD", "spawning")}});
  agent_.on("GET", server_path(), {{"server", failed_server()}});
  const Outcome outcome = ctl({"server", "create", "--flavor", "m1.tiny", "--image", "demo", "--wait", "demo1"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, std::string("server demo1 (") + kId +
                             ") went to ERROR\n  because: cannot define the domain\n  because: libvirt: unsupported machine type\n"
                             "what to do: choose another hw_machine_type\n");
}

TEST_F(CtlCommands, ServerDeleteWaitsUntilItIsGone) {
  agent_.on("GET", server_path(), {{"server", failed_server()}});
  agent_.on("GET", server_path(), {{"server", failed_server()}});  // the old fault is not this order's
  agent_.on("GET", server_path(), {{"itemNotFound", {{"code", 404}, {"message", "gone"}}}}, 404);
  agent_.on("DELETE", server_path(), FakeReply{.status = 204});
  const Outcome outcome = ctl({"server", "delete", "--wait", kId});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(agent_.lines()[1], "DELETE " + server_path());
}

TEST_F(CtlCommands, ServerDeleteGoesOnAfterAFailureAndEndsWithOne) {
  agent_.on("GET", server_path(), {{"server", server()}});
  agent_.on("GET", kServers + "?name=nobody", {{"servers", Json::array()}});
  agent_.on("DELETE", server_path(), FakeReply{.status = 204});
  const Outcome outcome = ctl({"server", "delete", "nobody", "demo1"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err,
            "Failed to delete server 'nobody'\n  because: No server with a name or ID of 'nobody' exists.\n"
            "what to do: see which there are: computectl server list\n"
            "1 of 2 servers failed to delete.\nwhat to do: see what is said above about each\n");
  EXPECT_EQ(agent_.last("DELETE").target, server_path());
}

TEST_F(CtlCommands, PowerOrdersAreTheActionsOfCompute) {
  agent_.on("POST", server_path() + "/action", FakeReply{.status = 202});
  agent_.on("GET", server_path(), {{"server", server("REBOOT", "rebooting")}});
  agent_.on("GET", server_path(), {{"server", server()}});
  EXPECT_EQ(ctl({"server", "start", "demo1"}).status, 0);
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"os-start", nullptr}}));
  EXPECT_EQ(ctl({"server", "stop", "demo1"}).status, 0);
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"os-stop", nullptr}}));
  EXPECT_EQ(ctl({"server", "reboot", "--hard", "--wait", "demo1"}).out, "Complete\n");
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"reboot", {{"type", "HARD"}}}}));
  EXPECT_EQ(ctl({"server", "reboot", "demo1"}).status, 0);
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"reboot", {{"type", "SOFT"}}}}));
}

TEST_F(CtlCommands, OrdersOfALifeAreTheActionsOfCompute) {
  agent_.on("POST", server_path() + "/action", FakeReply{.status = 202});
  const std::vector<std::pair<Lines, Json>> orders{
      {{"server", "pause", "demo1"}, {{"pause", nullptr}}},
      {{"server", "unpause", "demo1"}, {{"unpause", nullptr}}},
      {{"server", "suspend", "demo1"}, {{"suspend", nullptr}}},
      {{"server", "resume", "demo1"}, {{"resume", nullptr}}},
      {{"server", "lock", "demo1"}, {{"lock", nullptr}}},
      {{"server", "lock", "--reason", "audit", "demo1"}, {{"lock", {{"locked_reason", "audit"}}}}},
      {{"server", "unlock", "demo1"}, {{"unlock", nullptr}}},
      {{"server", "restore", "demo1"}, {{"restore", nullptr}}},
      {{"server", "dump", "create", "demo1"}, {{"trigger_crash_dump", nullptr}}},
      {{"server", "resize", "--flavor", "m1.tiny", "demo1"}, {{"resize", {{"flavorRef", "1"}}}}},
      {{"server", "resize", "confirm", "demo1"}, {{"confirmResize", nullptr}}},
      {{"server", "resize", "--confirm", "demo1"}, {{"confirmResize", nullptr}}},
      {{"server", "resize", "revert", "demo1"}, {{"revertResize", nullptr}}},
      {{"server", "set", "--state", "error", "demo1"}, {{"os-resetState", {{"state", "error"}}}}},
      {{"server", "set", "--password", "s", "demo1"}, {{"changePassword", {{"adminPass", "s"}}}}},
  };
  agent_.on("GET", server_path(), {{"server", server()}});
  for (const auto& [words, body] : orders) {
    EXPECT_EQ(ctl(words).status, 0) << words[1];
    EXPECT_EQ(agent_.last("POST").json(), body) << words[1];
  }
  EXPECT_EQ(ctl({"server", "resize", "demo1"}).status, 1) << "it is not said to what";
}

TEST_F(CtlCommands, OrdersOfAnotherRootDiskAreTheActionsOfCompute) {
  agent_.on("POST", server_path() + "/action", {{"server", server()}});
  agent_.on("GET", server_path(), {{"server", server()}});
  const std::vector<std::pair<Lines, Json>> orders{
      {{"server", "rescue", "demo1"}, {{"rescue", Json::object()}}},
      {{"server", "rescue", "--image", "demo", "--password", "s", "demo1"},
       {{"rescue", {{"rescue_image_ref", kImage}, {"adminPass", "s"}}}}},
      {{"server", "unrescue", "demo1"}, {{"unrescue", nullptr}}},
      {{"server", "rebuild", "demo1"}, {{"rebuild", {{"imageRef", kImage}}}}},
      {{"server", "rebuild", "--image", "demo", "--name", "n", "--preserve-ephemeral", "--property", "k=v", "--no-key-name",
        "--no-user-data", "demo1"},
       {{"rebuild",
         {{"imageRef", kImage},
          {"name", "n"},
          {"preserve_ephemeral", true},
          {"metadata", {{"k", "v"}}},
          {"key_name", nullptr},
          {"user_data", nullptr}}}}},
      {{"server", "shelve", "demo1"}, {{"shelve", nullptr}}},
      {{"server", "unshelve", "demo1"}, {{"unshelve", nullptr}}},
  };
  for (const auto& [words, body] : orders) {
    const auto ran = ctl(words);
    EXPECT_EQ(ran.status, 0) << words[1] << ran.err;
    EXPECT_EQ(agent_.last("POST").json(), body) << words[1];
  }
}

TEST_F(CtlCommands, AnImageOfAServerIsOrderedByItsNameAndShown) {
  agent_.on("POST", server_path() + "/action", {{"image_id", kImage}});
  agent_.on("GET", server_path(), {{"server", server()}});
  EXPECT_NE(ctl({"server", "image", "create", "--property", "a=b", "demo1"}).out.find(kImage), std::string::npos);
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"createImage", {{"name", "demo1"}, {"metadata", {{"a", "b"}}}}}}));
  EXPECT_EQ(ctl({"server", "backup", "create", "--name", "b", "--type", "daily", "--rotate", "3", "demo1"}).status, 0);
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"createBackup", {{"name", "b"}, {"backup_type", "daily"}, {"rotation", 3}}}}));
  EXPECT_EQ(ctl({"server", "backup", "create", "demo1"}).status, 2) << "--type is missing";
}

TEST_F(CtlCommands, AnOrderThatEndsOtherwiseEndsTheWaitWithItsFailedStep) {
  agent_.on("POST", server_path() + "/action", FakeReply{.status = 202});
  agent_.on("GET", server_path(), {{"server", server("SHUTOFF", "powering-on")}});
  agent_.on("GET", server_path(), {{"server", server("SHUTOFF")}});
  agent_.on("GET", server_path() + "/os-instance-actions",
            {{"instanceActions",
              {{{"request_id", "req-old"}, {"start_time", "2026-11-21T05:30:00.000000"}},
               {{"request_id", "req-2"}, {"start_time", "2026-11-21T05:31:00.000000"}}}}});
  agent_.on("GET", server_path() + "/os-instance-actions/req-2",
            {{"instanceAction", {{"events", {{{"event", "compute_start"}, {"result", "Error"}, {"details", "libvirt: no space"}}}}}}});
  const Outcome outcome = ctl({"server", "start", "--wait", "demo1"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, std::string("server demo1 (") + kId +
                             ") came to rest as SHUTOFF, not ACTIVE\n  because: compute_start: libvirt: no space\n"
                             "what to do: see its steps: computectl server event show " +
                             kId + " req-2\n");
}

TEST_F(CtlCommands, ServerEventsOfADeletedServerAreFoundByItsId) {
  agent_.on("GET", kServers + "?name=" + kId, {{"servers", Json::array()}});
  agent_.on("GET", server_path() + "/os-instance-actions",
            {{"instanceActions",
              {{{"request_id", "req-1"}, {"instance_uuid", kId}, {"action", "delete"}, {"start_time", "2026-11-21T05:30:00.000000"}}}}});
  EXPECT_EQ(ctl({"server", "event", "list", kId, "-f", "csv", "--quote", "none"}).out,
            std::string("Request ID,Server ID,Action,Start Time\nreq-1,") + kId + ",delete,2026-11-21T05:30:00.000000\n");
}

TEST_F(CtlCommands, AServerEventShowsItsSteps) {
  const Json claim{{"event", "claim"}, {"start_time", "1"}, {"finish_time", "2"}, {"result", "Success"}, {"details", nullptr}};
  const Json define{{"event", "define"}, {"start_time", "2"}, {"finish_time", nullptr}, {"result", "Error"}, {"details", "no"}};
  agent_.on("GET", server_path() + "/os-instance-actions/req-1",
            {{"instanceAction", {{"action", "create"}, {"message", nullptr}, {"events", {claim, define}}}}});
  EXPECT_EQ(ctl({"server", "event", "show", "demo1", "req-1"}).out,
            "+---------+------------------------------------------------------------------+\n"
            "| Field   | Value                                                            |\n"
            "+---------+------------------------------------------------------------------+\n"
            "| action  | create                                                           |\n"
            "| events  | event='claim', start_time='1', finish_time='2', result='Success' |\n"
            "|         | event='define', start_time='2', result='Error', details='no'     |\n"
            "| message | None                                                             |\n"
            "+---------+------------------------------------------------------------------+\n");
}

TEST_F(CtlCommands, ConsoleLogIsRawInAPipeAndSafeOnATerminal) {
  agent_.on("POST", server_path() + "/action", {{"output", "boot\x1b[2J ok"}});
  EXPECT_EQ(ctl({"console", "log", "show", "--lines", "5", "demo1"}).out, "boot\x1b[2J ok\n");
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"os-getConsoleOutput", {{"length", 5}}}}));
  RunOptions options{.url = agent_.url(), .terminal = true};
  EXPECT_EQ(run({"console", "log", "show", "demo1"}, options).out, "boot ok\n");
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"os-getConsoleOutput", Json::object()}}));
}

class CtlImages : public CtlCommands {
 protected:
  CtlImages() : content_(3000000, 'x'), file_(content_) {
    agent_.on("POST", "/image/v2/images", {{"id", "i-1"}, {"name", "demo"}, {"status", "queued"}}, 201);
    agent_.on("GET", "/image/v2/images/i-1",
              {{"id", "i-1"},
               {"name", "demo"},
               {"status", "active"},
               {"size", 3000000},
               {"virtual_size", nullptr},
               {"tags", {"t"}},
               {"hw_disk_bus", "scsi"},
               {"self", "/v2/images/i-1"}});
  }
  std::string content_;
  TemporaryFile file_;
};

TEST_F(CtlImages, CreateSendsMetadataThenTheFile) {
  agent_.on("PUT", "/image/v2/images/i-1/file", FakeReply{.status = 204});
  const Outcome outcome = ctl({"image", "create", "--disk-format", "qcow2", "--file", file_.path(), "--min-disk", "1", "--property",
                               "hw_disk_bus=scsi", "--public", "--protected", "--tag", "t", "demo"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "+------------+--------------------+\n| Field      | Value              |\n+------------+--------------------+\n| id         | "
            "i-1                |\n"
            "| name       | demo               |\n| properties | hw_disk_bus='scsi' |\n| size       | 3000000            |\n| status     | "
            "active             |\n"
            "| tags       | t                  |\n+------------+--------------------+\n");
  EXPECT_EQ(agent_.requests()[0].json(), (Json{{"name", "demo"},
                                               {"disk_format", "qcow2"},
                                               {"container_format", "bare"},
                                               {"min_disk", 1},
                                               {"protected", true},
                                               {"visibility", "public"},
                                               {"tags", {"t"}},
                                               {"hw_disk_bus", "scsi"}}));
  const FakeRequest put = agent_.last("PUT");
  EXPECT_EQ(put.body, content_);
  EXPECT_EQ(put.headers.at("content-type"), "application/octet-stream");
  EXPECT_EQ(put.headers.at("content-length"), "3000000");
}

TEST_F(CtlImages, CreateTakesRedirectedInputInChunks) {
  agent_.on("PUT", "/image/v2/images/i-1/file", FakeReply{.status = 204});
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "image", 5), 5);
  ::close(ends[1]);
  RunOptions options{.url = agent_.url(), .stdin_fd = ends[0]};
  EXPECT_EQ(run({"image", "create", "demo"}, options).status, 0);
  ::close(ends[0]);
  EXPECT_EQ(agent_.last("PUT").body, "image");
  EXPECT_EQ(agent_.last("PUT").headers.at("transfer-encoding"), "chunked");
}

TEST_F(CtlImages, CreateWithoutDataReservesTheNameOnly) {
  EXPECT_EQ(ctl({"image", "create", "demo"}).status, 0);
  EXPECT_EQ(agent_.lines(), (Lines{"POST /image/v2/images"}));
}

TEST_F(CtlImages, AFileThatCannotBeReadMakesNoImage) {
  const Outcome outcome = ctl({"image", "create", "--file", "/nonexistent.qcow2", "demo"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(outcome.err.starts_with("cannot open '/nonexistent.qcow2': No such file or directory\n")) << outcome.err;
  EXPECT_TRUE(agent_.lines().empty());
}

TEST_F(CtlImages, AnImageRefusedDuringTheUploadIsDeletedAndTheReasonShown) {
  content_.assign(40000000, 'x');
  const TemporaryFile large(content_);
  FakeReply refusal =
      json_reply({{"message", "the image has a backing file"}, {"agent_code", "UNSAFE"}, {"next_action", "flatten it"}}, 400);
  refusal.before_body = true;
  agent_.on("PUT", "/image/v2/images/i-1/file", refusal);
  agent_.on("DELETE", "/image/v2/images/i-1", FakeReply{.status = 204});
  const Outcome outcome = ctl({"image", "create", "--file", large.path(), "demo"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(agent_.last("DELETE").target, "/image/v2/images/i-1");
  EXPECT_TRUE(outcome.err.starts_with("cannot upload '" + large.path() + "' as image demo\n  because: ")) << outcome.err;
}

TEST_F(CtlImages, AnUploadShowsABarOnATerminal) {
  agent_.on("PUT", "/image/v2/images/i-1/file", FakeReply{.status = 204});
  RunOptions options{.url = agent_.url(), .terminal = true};
  const Outcome outcome = run({"image", "create", "--file", file_.path(), "demo"}, options);
  EXPECT_NE(outcome.err.find("[==============================] 100% 3M/3M "), std::string::npos) << outcome.err;
  EXPECT_TRUE(outcome.err.ends_with("\r\x1b[K"));
}

TEST_F(CtlImages, SetSendsAPatchThatAddsOrReplaces) {
  agent_.on("PATCH", "/image/v2/images/i-1", Json::object());
  agent_.on("GET", "/image/v2/images?name=one", {{"images", {{{"id", "i-1"}, {"name", "one"}, {"tags", {"a"}}, {"hw_disk_bus", "ide"}}}}});
  EXPECT_EQ(ctl({"image", "set", "--name", "two", "--property", "hw_disk_bus=scsi", "--property", "a/b~c=1", "--tag", "b", "one"}).status,
            0);
  EXPECT_EQ(agent_.last("PATCH").headers.at("content-type"), "application/openstack-images-v2.1-json-patch");
  EXPECT_EQ(agent_.last("PATCH").json(), (Json{{{"op", "replace"}, {"path", "/name"}, {"value", "two"}},
                                               {{"op", "replace"}, {"path", "/tags"}, {"value", {"a", "b"}}},
                                               {{"op", "replace"}, {"path", "/hw_disk_bus"}, {"value", "scsi"}},
                                               {{"op", "add"}, {"path", "/a~1b~0c"}, {"value", "1"}}}));
  EXPECT_EQ(ctl({"image", "unset", "--property", "hw_disk_bus", "--tag", "a", "one"}).status, 0);
  EXPECT_EQ(agent_.last("PATCH").json(),
            (Json{{{"op", "replace"}, {"path", "/tags"}, {"value", Json::array()}}, {{"op", "remove"}, {"path", "/hw_disk_bus"}}}));
}

TEST_F(CtlImages, SaveWritesTheFile) {
  agent_.on("GET", "/image/v2/images?name=one", {{"images", {{{"id", "i-1"}, {"name", "one"}, {"size", content_.size()}}}}});
  agent_.on("GET", "/image/v2/images/i-1/file", FakeReply{.body = content_, .content_type = "application/octet-stream"});
  const TemporaryFile target("");
  EXPECT_EQ(ctl({"image", "save", "--file", target.path(), "one"}).status, 0);
  std::ifstream saved(target.path());
  EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(saved), {}) == content_);
}

TEST_F(CtlImages, ListIsSortedByNameAndFilteredByProperty) {
  agent_.on("GET", "/image/v2/images?visibility=public",
            {{"images",
              {{{"id", "2"}, {"name", "b"}, {"status", "active"}, {"os", "x"}},
               {{"id", "1"}, {"name", "a"}, {"status", "queued"}, {"os", "x"}},
               {{"id", "3"}, {"name", "c"}}}}});
  EXPECT_EQ(ctl({"image", "list", "--public", "--property", "os=x", "-f", "value"}).out, "1 a queued\n2 b active\n");
}

TEST_F(CtlCommands, FlavorCreateSetsItsPropertiesAfterwards) {
  agent_.on("POST", "/compute/v2.1/flavors",
            {{"flavor", {{"id", "7"}, {"name", "f"}, {"swap", ""}, {"ram", 64}, {"links", Json::array()}}}});
  agent_.on("POST", "/compute/v2.1/flavors/7/os-extra_specs", {{"extra_specs", {{"a", "b"}}}});
  const Outcome outcome =
      ctl({"flavor", "create", "--ram", "64", "--property", "a=b", "--private", "--id", "7", "f", "-f", "json", "--noindent"});
  EXPECT_EQ(
      outcome.out,
      "{\"OS-FLV-DISABLED:disabled\": false, \"id\": \"7\", \"name\": \"f\", \"properties\": {\"a\": \"b\"}, \"ram\": 64, \"swap\": 0}\n")
      << outcome.err;
  ASSERT_FALSE(agent_.requests().empty());
  EXPECT_EQ(agent_.requests()[0].json(), (Json{{"flavor",
                                                {{"name", "f"},
                                                 {"ram", 64},
                                                 {"vcpus", 1},
                                                 {"disk", 0},
                                                 {"id", "7"},
                                                 {"OS-FLV-EXT-DATA:ephemeral", 0},
                                                 {"swap", 0},
                                                 {"rxtx_factor", 1.0},
                                                 {"os-flavor-access:is_public", false}}}}));
}

TEST_F(CtlCommands, FlavorSetClearsThenSets) {
  for (const char* key : {"a", "hw%3Ax"}) agent_.on("DELETE", std::string("/compute/v2.1/flavors/1/os-extra_specs/") + key, FakeReply{});
  agent_.on("POST", "/compute/v2.1/flavors/1/os-extra_specs", Json::object());
  agent_.on("PUT", "/compute/v2.1/flavors/1", Json::object());
  const Outcome outcome = ctl({"flavor", "set", "--no-property", "--property", "c=d", "--description", "text", "m1.tiny"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(agent_.last("PUT").json(), (Json{{"flavor", {{"description", "text"}}}}));
  EXPECT_EQ(agent_.lines().back(), "POST /compute/v2.1/flavors/1/os-extra_specs");
}

TEST_F(CtlCommands, FlavorListHasTheClientsColumns) {
  agent_.on("GET", "/compute/v2.1/flavors/detail?is_public=True",
            {{"flavors",
              {{{"id", "1"},
                {"name", "m1.tiny"},
                {"ram", 512},
                {"disk", 1},
                {"OS-FLV-EXT-DATA:ephemeral", 0},
                {"vcpus", 1},
                {"os-flavor-access:is_public", true},
                {"swap", ""}}}}});
  EXPECT_EQ(ctl({"flavor", "list"}).out,
            "+----+---------+-----+------+-----------+-------+-----------+\n| ID | Name    | RAM | Disk | Ephemeral | VCPUs | Is Public |\n"
            "+----+---------+-----+------+-----------+-------+-----------+\n| 1  | m1.tiny | 512 |    1 |         0 |     1 | True      |\n"
            "+----+---------+-----+------+-----------+-------+-----------+\n");
}

TEST_F(CtlCommands, NetworkCreateNamesItsKindAndBridge) {
  agent_.on(
      "POST", "/network/v2.0/networks",
      {{"network", {{"id", "n-2"}, {"name", "lan"}, {"admin_state_up", true}, {"router:external", false}, {"subnets", Json::array()}}}},
      201);
  const Outcome outcome = ctl({"network", "create", "--provider-network-type", "bridge", "--provider-physical-network", "br0", "--mtu",
                               "1400", "--share", "--external", "lan"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"network",
                                               {{"name", "lan"},
                                                {"admin_state_up", true},
                                                {"provider:network_type", "bridge"},
                                                {"provider:physical_network", "br0"},
                                                {"mtu", 1400},
                                                {"shared", true},
                                                {"router:external", true}}}}));
  EXPECT_NE(outcome.out.find("| admin_state_up            | UP       |\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("| router:external           | Internal |\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("| qos_policy_id             | None     |\n"), std::string::npos) << outcome.out;
}

TEST_F(CtlCommands, SubnetCreateSendsPoolsRoutesAndGateway) {
  agent_.on("POST", "/network/v2.0/subnets",
            {{"subnet",
              {{"id", "s-1"},
               {"name", "sub1"},
               {"allocation_pools", {{{"start", "10.0.0.2"}, {"end", "10.0.0.9"}}}},
               {"dns_nameservers", {"10.0.0.1"}}}}},
            201);
  const std::vector<std::string> words{"subnet",
                                       "create",
                                       "--network",
                                       "net1",
                                       "--subnet-range",
                                       "10.0.0.0/24",
                                       "--allocation-pool",
                                       "start=10.0.0.2,end=10.0.0.9",
                                       "--host-route",
                                       "destination=10.1.0.0/16,gateway=10.0.0.1",
                                       "--dns-nameserver",
                                       "10.0.0.1",
                                       "--no-dhcp",
                                       "sub1"};
  std::vector<std::string> with_gateway = words;
  with_gateway.insert(with_gateway.end(), {"--gateway", "none"});
  const Outcome outcome = ctl(with_gateway);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"subnet",
                                               {{"name", "sub1"},
                                                {"network_id", "n-1"},
                                                {"ip_version", 4},
                                                {"cidr", "10.0.0.0/24"},
                                                {"gateway_ip", nullptr},
                                                {"enable_dhcp", false},
                                                {"dns_nameservers", {"10.0.0.1"}},
                                                {"allocation_pools", {{{"start", "10.0.0.2"}, {"end", "10.0.0.9"}}}},
                                                {"host_routes", {{{"destination", "10.1.0.0/16"}, {"nexthop", "10.0.0.1"}}}}}}}));
  EXPECT_NE(outcome.out.find("| allocation_pools     | 10.0.0.2-10.0.0.9 |\n"), std::string::npos) << outcome.out;
  ctl(words);
  EXPECT_FALSE(agent_.last("POST").json()["subnet"].contains("gateway_ip"));
}

TEST_F(CtlCommands, KeypairCreateSendsAPublicKeyAndRefusesAPrivateOne) {
  agent_.on(
      "POST", "/compute/v2.1/os-keypairs",
      {{"keypair", {{"name", "k"}, {"fingerprint", "aa:bb"}, {"type", "ssh"}, {"public_key", "ssh-ed25519 AAAA"}, {"user_id", "admin"}}}},
      201);
  const TemporaryFile open("ssh-ed25519 AAAA me\n");
  const Outcome outcome = ctl({"keypair", "create", "--public-key", open.path(), "k"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(agent_.last("POST").json(), (Json{{"keypair", {{"name", "k"}, {"public_key", "ssh-ed25519 AAAA me"}, {"type", "ssh"}}}}));
  EXPECT_EQ(outcome.out.find("ssh-ed25519"), std::string::npos);
  const TemporaryFile secret("-----BEGIN OPENSSH PRIVATE KEY-----\n");
  EXPECT_EQ(ctl({"keypair", "create", "--public-key", secret.path(), "k"}).status, 1);
  EXPECT_EQ(agent_.requests().size(), 1U);
}

TEST_F(CtlCommands, AGeneratedPrivateKeyStaysHere) {
  agent_.on("POST", "/compute/v2.1/os-keypairs", {{"keypair", {{"name", "k"}}}}, 201);
  const std::string path = "/tmp/ctl-test-key-" + std::to_string(::getpid());
  ::unlink(path.c_str());
  EXPECT_EQ(ctl({"keypair", "create", "--private-key", path, "k"}).status, 0);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_TRUE(agent_.last("POST").json()["keypair"]["public_key"].get<std::string>().starts_with("ssh-ed25519 "));
  EXPECT_EQ(agent_.last("POST").body.find("PRIVATE"), std::string::npos);
  const Outcome again = ctl({"keypair", "create", "--private-key", path, "k"});
  EXPECT_EQ(again.status, 1);
  EXPECT_NE(again.err.find("exists already"), std::string::npos);
  ::unlink(path.c_str());
  EXPECT_TRUE(ctl({"keypair", "create", "k"}).out.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
}

TEST_F(CtlCommands, APrivateKeyThatWasNotRegisteredIsRemoved) {
  agent_.on("POST", "/compute/v2.1/os-keypairs", {{"conflictingRequest", {{"code", 409}, {"message", "Key pair 'k' already exists."}}}},
            409);
  const std::string path = "/tmp/ctl-test-key2-" + std::to_string(::getpid());
  EXPECT_EQ(ctl({"keypair", "create", "--private-key", path, "k"}).status, 1);
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

TEST_F(CtlCommands, ComputeServiceIsFoundByHostAndBinary) {
  agent_.on("GET", "/compute/v2.1/os-services?host=h&binary=nova-compute",
            {{"services", {{{"id", "s-1"}, {"binary", "nova-compute"}, {"host", "h"}}}}});
  agent_.on("GET", "/compute/v2.1/os-services?host=x&binary=nova-compute", {{"services", Json::array()}});
  agent_.on("PUT", "/compute/v2.1/os-services/s-1", Json::object());
  EXPECT_EQ(ctl({"compute", "service", "set", "--disable", "--disable-reason", "new disks", "h", "nova-compute"}).status, 0);
  EXPECT_EQ(agent_.last("PUT").json(), (Json{{"status", "disabled"}, {"disabled_reason", "new disks"}}));
  EXPECT_EQ(ctl({"compute", "service", "set", "--enable", "h", "nova-compute"}).status, 0);
  EXPECT_EQ(agent_.last("PUT").json(), (Json{{"status", "enabled"}}));
  EXPECT_EQ(ctl({"compute", "service", "set", "--enable", "x", "nova-compute"}).status, 1);
  EXPECT_EQ(ctl({"compute", "service", "set", "--enable", "--disable-reason", "x", "h", "nova-compute"}).status, 1);
}

TEST_F(CtlCommands, HypervisorsAreAskedForWithTheLastVersionThatCountsThem) {
  agent_.on("GET", "/compute/v2.1/os-hypervisors/detail",
            {{"hypervisors",
              {{{"id", "h-1"},
                {"hypervisor_hostname", "host1"},
                {"hypervisor_type", "QEMU"},
                {"host_ip", "127.0.0.1"},
                {"state", "up"},
                {"vcpus", 2},
                {"vcpus_used", 1},
                {"memory_mb", 1024},
                {"memory_mb_used", 640}}}}});
  EXPECT_EQ(ctl({"hypervisor", "list", "--long", "-f", "value"}).out, "h-1 host1 QEMU 127.0.0.1 up 1 2 640 1024\n");
  EXPECT_EQ(agent_.last("GET").headers.at("openstack-api-version"), "compute 2.87");
  agent_.on("GET", "/compute/v2.1/os-hypervisors", {{"hypervisors", {{{"id", "h-1"}, {"hypervisor_hostname", "host1"}}}}});
  agent_.on("GET", "/compute/v2.1/os-hypervisors/h-1",
            {{"hypervisor",
              {{"id", "h-1"},
               {"service", {{"id", "s"}, {"host", "host1"}}},
               {"uptime", " 08:32:11 up 93 days, 18:25, 12 users,  load average: 0.20, 0.12, 0.14"},
               {"cpu_info", {{"arch", "x86_64"}}}}}});
  EXPECT_EQ(ctl({"hypervisor", "show", "host1", "-f", "shell"}).out,
            "aggregates=\"[]\"\ncpu_info=\"{'arch': 'x86_64'}\"\nhost_time=\"08:32:11\"\nid=\"h-1\"\nload_average=\"0.20, 0.12, "
            "0.14\"\nservice_host=\"host1\"\nservice_id=\"s\"\n"
            "uptime=\"93 days, 18:25\"\nusers=\"12\"\n");
  agent_.on("GET", "/compute/v2.1/os-hypervisors/statistics", {{"hypervisor_statistics", {{"count", 1}, {"vcpus", 2}}}});
  EXPECT_EQ(ctl({"hypervisor", "stats", "show", "-f", "value"}).out, "1\n2\n");
}

TEST_F(CtlCommands, ExitStatusesAreZeroOneAndTwo) {
  agent_.on("GET", kServers + "/detail", {{"servers", Json::array()}});
  EXPECT_EQ(ctl({"server", "list"}).status, 0);
  EXPECT_EQ(ctl({"--version"}).status, 0);
  EXPECT_EQ(ctl({"server", "show", "--help"}).status, 0);
  EXPECT_EQ(ctl({"server", "list", "-c", "Nonsense"}).status, 1);
  EXPECT_EQ(ctl({"server", "list", "--timeout", "0"}).status, 1);
  for (const auto& words : {std::vector<std::string>{"server", "show"}, {"serverlist"}, {}, {"server", "list", "-f", "xml"}}) {
    const Outcome outcome = ctl(words);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_FALSE(outcome.err.empty());
  }
}

}  // namespace
}  // namespace ca::ctl
