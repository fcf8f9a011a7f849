#include <gtest/gtest.h>

#include "agent/api/compute/server_filter.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using testing::ScratchDir;

class ServerFilterTest : public ::testing::Test {
 protected:
  void SetUp() override { store = *Store::open(dir / "db", clock); }
  [[nodiscard]] Result<bool> wanted(std::map<std::string, std::string> query, const Instance& instance) const {
    ApiRequest request;
    request.query = std::move(query);
    CA_TRY(const ServerFilter filter, server_filter(*store, request));
    return filter(instance);
  }
  [[nodiscard]] std::vector<std::string> sorted(std::map<std::string, std::string> query) const {
    ApiRequest request;
    request.query = std::move(query);
    std::vector<std::shared_ptr<const Instance>> rows;
    for (const auto& [name, created] : {std::pair{"b", 1}, std::pair{"a", 2}, std::pair{"c", 3}}) {
      auto row = std::make_shared<Instance>();
      row->name = name;
      row->created_us = created;
      rows.push_back(std::move(row));
    }
    if (!sort_servers(request, rows)) return {};
    std::vector<std::string> names;
    for (const auto& row : rows) names.push_back(row->name);
    return names;
  }
  static Instance named(const std::string& name) {
    Instance instance;
    instance.name = name;
    instance.vm_state = VmState::kActive;
    instance.task_state = TaskState::kNone;
    return instance;
  }

  const testing::ScratchDir dir;
  const SystemClock clock;
  std::unique_ptr<Store> store;
};

TEST_F(ServerFilterTest, NamesAreMatchedByRegularExpression) {
  EXPECT_TRUE(*wanted({{"name", "^web[0-9]+$"}}, named("web12")));
  EXPECT_FALSE(*wanted({{"name", "^web[0-9]+$"}}, named("web12b")));
  EXPECT_TRUE(*wanted({{"name", "eb"}}, named("web12"))) << "anywhere in the name";
}

TEST_F(ServerFilterTest, APatternMadeToExplodeEndsSoon) {
  const auto began = std::chrono::steady_clock::now();
  EXPECT_FALSE(*wanted({{"name", "^(a*)*(a|aa)+(a|a?)+b$"}}, named(std::string(255, 'a'))));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
  EXPECT_EQ(wanted({{"name", "(a{1000}){1000}"}}, named("a")).error().code, Code::kInvalid);
  EXPECT_EQ(wanted({{"name", std::string(256, 'a')}}, named("a")).error().code, Code::kInvalid);
  EXPECT_EQ(wanted({{"name", "(a)\\1"}}, named("aa")).error().code, Code::kInvalid) << "back references need backtracking";
  EXPECT_EQ(wanted({{"ip", "("}}, named("a")).error().code, Code::kInvalid);
}

TEST_F(ServerFilterTest, TagsAreAllOrAnyWantedOrNot) {
  Instance tagged = named("a");
  tagged.tags = {"blue", "green"};
  EXPECT_TRUE(*wanted({{"tags", "blue,green"}}, tagged));
  EXPECT_FALSE(*wanted({{"tags", "blue,red"}}, tagged));
  EXPECT_TRUE(*wanted({{"tags-any", "blue,red"}}, tagged));
  EXPECT_TRUE(*wanted({{"not-tags", "blue,red"}}, tagged));
  EXPECT_FALSE(*wanted({{"not-tags", "blue,green"}}, tagged));
  EXPECT_FALSE(*wanted({{"not-tags-any", "blue,red"}}, tagged));
}

TEST_F(ServerFilterTest, TimesOfChangeAreReadWithTheirOffset) {
  Instance changed = named("a");
  changed.updated_us = 1'772'692'079'000'000;  // 2026-03-05T06:27:59Z
  EXPECT_TRUE(*wanted({{"changes-since", "2026-03-05T06:27:59Z"}}, changed));
  EXPECT_TRUE(*wanted({{"changes-since", "2026-03-05T07:27:59+01:00"}}, changed));
  EXPECT_FALSE(*wanted({{"changes-since", "2026-03-05T06:28:00.5"}}, changed));
  EXPECT_TRUE(*wanted({{"changes-before", "2026-03-06"}}, changed));
  for (const char* bad : {"soon", "2026-13-01", "2026-03-05T06:27", "2026-03-05T06:27:59Zx", "2026-03-05T06:27:59+1"}) {
    EXPECT_EQ(wanted({{"changes-since", bad}}, changed).error().code, Code::kInvalid) << bad;
  }
}

TEST_F(ServerFilterTest, SoftDeletedServersAreShownToWhoAsks) {
  Instance deleted = named("a");
  deleted.vm_state = VmState::kSoftDeleted;
  EXPECT_FALSE(*wanted({}, deleted));
  EXPECT_TRUE(*wanted({{"status", "soft_deleted"}}, deleted));
  EXPECT_TRUE(*wanted({{"deleted", "True"}}, deleted));
  EXPECT_FALSE(*wanted({{"deleted", "True"}}, named("a")));
  EXPECT_EQ(wanted({{"deleted", "maybe"}}, deleted).error().code, Code::kInvalid);
}

TEST_F(ServerFilterTest, NewestComeFirstUnlessAnotherOrderIsAsked) {
  EXPECT_EQ(sorted({}), (std::vector<std::string>{"c", "a", "b"}));
  EXPECT_EQ(sorted({{"sort_key", "display_name"}, {"sort_dir", "asc"}}), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(sorted({{"sort_key", "secret"}}), std::vector<std::string>{}) << "no such key";
  EXPECT_EQ(sorted({{"sort_dir", "up"}}), std::vector<std::string>{}) << "no such direction";
}

}  // namespace
}  // namespace ca
