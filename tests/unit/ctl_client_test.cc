// Connection, token, errors and JSON of computectl.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include "agent/ctl/api.h"
#include "agent/ctl/context.h"
#include "agent/ctl/json_read.h"
#include "agent/ctl/progress.h"
#include "agent/ctl/ssh_key.h"
#include "agent/ctl/text.h"
#include "tests/unit/ctl_fake_agent.h"

namespace ca::ctl {
namespace {

const Json kNoServers{{"servers", Json::array()}};

TEST(CtlEndpoint, HasHostPortAndPrefix) {
  const auto plain = Endpoint::parse("http://127.0.0.1:8774");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host + "|" + plain->port + "|" + plain->prefix, "127.0.0.1|8774|");
  const auto six = Endpoint::parse("http://[::1]:80/a/");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->url(), "http://[::1]:80/a");
  EXPECT_EQ(Endpoint::parse("http://localhost")->port, "8774");
}

TEST(CtlEndpoint, RefusesWhatItCannotSpeakTo) {
  for (const char* url : {"https://127.0.0.1", "ftp://x", "127.0.0.1:8774", "http://", "http://h:0", "http://h:70000", "http://h:x",
                          "http://u@h", "http://[::1", "http://h/a b", "http://h:80\r\nX: y"}) {
    const auto endpoint = Endpoint::parse(url);
    ASSERT_FALSE(endpoint) << url;
    EXPECT_EQ(endpoint.error().code, Code::kInvalid) << url;
  }
}

TEST(CtlToken, ComesFromTheFileWithoutItsLineBreakAndGoesIntoTheHeader) {
  FakeAgent agent;
  agent.on("GET", "/compute/v2.1/servers/detail", kNoServers);
  const TemporaryFile file("s3cret\n");
  RunOptions options{.url = agent.url(), .environment = {{"OS_TOKEN", ""}, {"COMPUTECTL_TOKEN_FILE", file.path()}}};
  EXPECT_EQ(run({"server", "list"}, options).status, 0);
  const auto headers = agent.last("GET").headers;
  EXPECT_EQ(headers.at("x-auth-token"), "s3cret");
  EXPECT_EQ(headers.at("openstack-api-version"), "compute 2.90");
  EXPECT_EQ(headers.at("x-openstack-nova-api-version"), "2.90");
}

TEST(CtlToken, AMissingFileSaysHowToGetOne) {
  RunOptions options{.url = "http://127.0.0.1:1", .environment = {{"OS_TOKEN", ""}}};
  const Outcome outcome = run({"server", "list", "--token-file", "/nonexistent/token"}, options);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(outcome.err.starts_with("there is no token file /nonexistent/token\nwhat to do: start the agent")) << outcome.err;
}

TEST(CtlToken, WithControlCharactersIsRefusedBeforeAnythingIsSent) {
  FakeAgent agent;
  const Outcome outcome = run(agent, {"server", "list", "--os-token", "a\r\nX-Evil: 1"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("not one line of printable characters"), std::string::npos);
  EXPECT_EQ(agent.connections(), 0);
}

TEST(CtlToken, IsMaskedInDebugOutput) {
  FakeAgent agent;
  agent.on("GET", "/compute/v2.1/servers/detail", kNoServers);
  const Outcome outcome = run(agent, {"--debug", "server", "list"});
  EXPECT_NE(outcome.err.find("REQ: GET " + agent.url() + "/compute/v2.1/servers/detail -H \"X-Auth-Token: ***\""), std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("RESP: [200]"), std::string::npos);
  EXPECT_EQ(outcome.err.find("secret"), std::string::npos);
}

TEST(CtlConnection, RefusedSaysToStartTheAgent) {
  std::string url;
  {
    const FakeAgent gone;
    url = gone.url();
  }
  RunOptions options{.url = url};
  const Outcome outcome = run({"server", "list"}, options);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err.substr(0, outcome.err.find(';')),
            "cannot connect to " + url +
                ": Connection refused\nwhat to do: start the agent (systemctl start compute-agent, or compute-agent --config-file FILE), "
                "or name its address with --os-endpoint-override\n");
}

TEST(CtlConnection, ASilentAgentIsGivenUpAfterTheTimeout) {
  FakeAgent agent;
  agent.on("GET", "/compute/v2.1/servers/detail", FakeReply{.hang = true});
  const Outcome outcome = run(agent, {"server", "list", "--timeout", "0.2"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("no answer to GET " + agent.url() + "/compute/v2.1/servers/detail within 0.2 s"), std::string::npos)
      << outcome.err;
}

TEST(CtlConnection, IsKeptBetweenCalls) {
  FakeAgent agent;
  agent.on("GET", "/compute/v2.1/servers/detail", {{"servers", {{{"id", "1"}, {"image", {{"id", "i"}}}}}}});
  agent.on("GET", "/image/v2/images", {{"images", {{{"id", "i"}, {"name", "demo"}}}}});
  EXPECT_EQ(run(agent, {"server", "list", "-f", "value", "-c", "Image"}).out, "demo\n");
  EXPECT_EQ(agent.connections(), 1);
}

TEST(CtlConnection, AnAnswerThatIsNoHttpIsSaidToBeNone) {
  FakeAgent agent;
  agent.on("GET", "/compute/v2.1/servers/detail", FakeReply{.body = "<html>hello</html>", .content_type = "text/html"});
  const Outcome outcome = run(agent, {"server", "list"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("not the JSON that was expected"), std::string::npos) << outcome.err;
}

TEST(CtlErrors, OfComputeShowMessageCausesAndNextAction) {
  FakeAgent agent;
  agent.on("GET", "/compute/v2.1/servers/detail",
           {{"conflictingRequest",
             {{"code", 409},
              {"message", "cannot list"},
              {"agent_code", "NO_SPACE"},
              {"causes", {"cannot list", "disk \x1b[31m full", "ENOSPC"}},
              {"next_action", "free space"}}}},
           409);
  const Outcome outcome = run(agent, {"server", "list"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err,
            "cannot list (HTTP 409) (Request-ID: req-1)\n  because: disk \\x1b[31m full\n  because: ENOSPC\nwhat to do: free space\n");
}

TEST(CtlErrors, AMessageThatIsTheWholeChainIsNotSaidTwice) {
  const Error error = error_of_object({{"message", "a: b: c"}, {"causes", {"a", "b", "c"}}}, Code::kInternal);
  EXPECT_EQ(error.message, "a");
  EXPECT_EQ(error.causes(), (std::vector<std::string>{"a", "b", "c"}));
}

TEST(CtlErrors, OfImageAndNetworkAreReadInTheirShapes) {
  const auto message = [](const std::string& body, const std::string& type) {
    const Error error = error_of({.status = 404, .content_type = type, .request_id = "", .body = body});
    EXPECT_EQ(error.code, Code::kNotFound);
    return error.message;
  };
  EXPECT_EQ(message(R"({"NeutronError": {"type": "NetworkNotFound", "message": "Network x could not be found.", "detail": ""}})",
                    "application/json"),
            "Network x could not be found. (HTTP 404)");
  EXPECT_EQ(message(R"({"NeutronError": "gone"})", "application/json"), "gone (HTTP 404)");
  EXPECT_EQ(message(R"({"message": "No image x<br /><br />\n\n\n", "code": "404 Not Found", "title": "Not Found"})", "application/json"),
            "No image x (HTTP 404)");
  EXPECT_EQ(message("<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1>No image<br /></body></html>", "text/html"),
            "404 Not Found 404 Not Found No image (HTTP 404)");
  EXPECT_EQ(message("", "text/plain"), "the agent refused the request (HTTP 404)");
}

TEST(CtlErrors, AWrongTokenNamesTheFile) {
  FakeAgent agent;
  agent.on("GET", "/compute/v2.1/servers/detail",
           {{"error", {{"code", 401}, {"message", "The request you have made requires authentication."}}}}, 401);
  const TemporaryFile file("old");
  RunOptions options{.url = agent.url(), .environment = {{"OS_TOKEN", ""}}};
  const Outcome outcome = run({"server", "list", "--token-file", file.path()}, options);
  EXPECT_NE(outcome.err.find("what to do: the token in " + file.path() + " is not this agent's"), std::string::npos) << outcome.err;
}

TEST(CtlJsonRead, KeepsOnlyTheMembersAskedFor) {
  const auto page = read_page(
      R"({"servers": [{"id": "1", "big": [1, {"a": 2}], "image": {"id": "i", "links": []}, "n": null, "f": 1.5, "u": 18446744073709551615}]})",
      "servers", std::vector<std::string_view>{"id", "image.id", "n", "f", "u"});
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->items,
            (std::vector<Json>{{{"id", "1"}, {"image", {{"id", "i"}}}, {"n", nullptr}, {"f", 1.5}, {"u", 18446744073709551615U}}}));
  EXPECT_FALSE(page->more);
}

TEST(CtlJsonRead, AnImageWithoutTheMemberAskedForStaysAValue) {
  const auto page = read_page(R"({"servers": [{"id": "1", "image": ""}]})", "servers", std::vector<std::string_view>{"id", "image.id"});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->items[0], (Json{{"id", "1"}, {"image", ""}}));
}

TEST(CtlJsonRead, RefusesBrokenAndBottomlessText) {
  for (const std::string& text :
       {std::string("{\"a\": "), std::string("{\"a\": 1} x"), std::string("{\"a\": tru}"), std::string("{\"a\": nul}"), std::string(),
        std::string("{\"a\": \"\xff\"}"), "{\"a\": " + std::string(100, '[') + std::string(100, ']') + "}"}) {
    const auto json = read_json(text);
    EXPECT_FALSE(json) << text;
    EXPECT_FALSE(read_page(text, "a")) << text;
  }
  EXPECT_FALSE(read_page(R"({"b": []})", "a"));
  EXPECT_FALSE(read_page(R"([1])", "a"));
}

TEST(CtlPages, AreFollowedUntilThereIsNoNext) {
  FakeAgent agent;
  agent.on("GET", "/compute/v2.1/servers/detail",
           {{"servers", {{{"id", "1"}, {"name", "a"}}}}, {"servers_links", {{{"rel", "next"}, {"href", "http://elsewhere/"}}}}});
  agent.on("GET", "/compute/v2.1/servers/detail?marker=1", {{"servers", {{{"id", "2"}, {"name", "b"}}}}});
  EXPECT_EQ(run(agent, {"server", "list", "-f", "value", "-c", "Name"}).out, "a\nb\n");
}

TEST(CtlPages, ALimitIsOnePage) {
  FakeAgent agent;
  agent.on("GET", "/compute/v2.1/servers/detail?limit=1",
           {{"servers", {{{"id", "1"}, {"name", "a"}}}}, {"servers_links", {{{"rel", "next"}, {"href", "http://elsewhere/"}}}}});
  EXPECT_EQ(run(agent, {"server", "list", "--limit", "1", "-f", "value", "-c", "Name"}).out, "a\n");
}

TEST(CtlEncode, LeavesNothingThatMeansSomethingInAnAddress) {
  EXPECT_EQ(percent_encode("a/b?c=d&e#f %\n\xc3\xa9-._~"), "a%2Fb%3Fc%3Dd%26e%23f%20%25%0A%C3%A9-._~");
}

std::string decoded(const std::string& text) {
  std::string out(text.size(), '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  EXPECT_GT(size, 0);
  out.resize(static_cast<std::size_t>(size) - static_cast<std::size_t>(std::count(text.begin(), text.end(), '=')));
  return out;
}

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

TEST(CtlSshKey, ThePrivateFileHoldsTheSecretOfThePublicLine) {
  const auto pair = make_ssh_key_pair("my key");
  ASSERT_TRUE(pair);
  const auto words = split_words(pair->public_key);
  ASSERT_EQ(words.size(), 4U);
  EXPECT_EQ(words[0], "ssh-ed25519");
  EXPECT_TRUE(pair->public_key.ends_with(" my key"));
  const std::string public_blob = decoded(std::string(words[1]));
  ASSERT_EQ(public_blob.size(), 4 + 11 + 4 + 32U);

  std::string body;
  for (const std::string& line : split_lines(pair->private_key)) {
    if (!line.starts_with("-----")) body += line;
  }
  const std::string file = decoded(body);
  using namespace std::string_literals;
  EXPECT_TRUE(file.starts_with("openssh-key-v1\0"s + "\0\0\0\4none"s + "\0\0\0\4none"s + "\0\0\0\0"s + "\0\0\0\1"s));
  EXPECT_NE(file.find(public_blob), std::string::npos);
  const std::string private_part = file.substr(39 + 4 + public_blob.size() + 4);
  EXPECT_EQ(private_part.size() % 8, 0U);
  EXPECT_EQ(private_part.substr(0, 4), private_part.substr(4, 4));
  const std::string secret = private_part.substr(8 + public_blob.size() + 4, 32);
  const std::unique_ptr<EVP_PKEY, FreeKey> key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(secret.data()), secret.size()));
  ASSERT_NE(key, nullptr);
  std::string own(32, '\0');
  std::size_t size = own.size();
  EXPECT_EQ(EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(own.data()), &size), 1);
  EXPECT_EQ(own, public_blob.substr(19));
}

TEST(CtlProgress, ALineIsDrawnOnATerminalAndClearedAtTheEnd) {
  std::ostringstream err;
  {
    ProgressLine line(err, true);
    line.show("demo\x1b[2J: BUILD");
    line.show("demo\x1b[2J: BUILD");
  }
  EXPECT_EQ(err.str(), "\r\x1b[Kdemo\\x1b[2J: BUILD\r\x1b[K");
}

TEST(CtlProgress, NothingIsWrittenElsewhereUnlessAskedFor) {
  std::ostringstream quiet;
  TransferBar silent(quiet, false, false, 100);
  silent.moved(100);
  EXPECT_EQ(quiet.str(), "");
  std::ostringstream log;
  TransferBar bar(log, false, true, 1000);
  bar.moved(500);
  bar.moved(500);
  const auto lines = split_lines(log.str());
  ASSERT_EQ(lines.size(), 3U) << log.str();
  EXPECT_TRUE(lines[0].starts_with("[===============>              ]  50% 500/1K ")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("[==============================] 100% 1K/1K ")) << lines[1];
}

}  // namespace
}  // namespace ca::ctl
