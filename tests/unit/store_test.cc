// What the store promises: transactions that stand or fall alone, and a file that says so after a restart.
#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "tests/unit/journal_rig.h"

namespace ca {
namespace {

using testing::Door;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ManualClock;
using testing::ScratchDir;
using ::testing::SizeIs;
using testing::uuid_of;

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    store.reset();
    auto opened = Store::open(path, clock);
    ASSERT_TRUE(opened) << opened.error().chain();
    store = std::move(*opened);
  }
  Result<void> put(const std::string& name) {
    return store->write(Durability::kFsync, [&](Tx& tx) { return tx.put(keypair(name)); });
  }
  static Keypair keypair(const std::string& name) {
    Keypair pair;
    pair.user_id = "user";
    pair.name = name;
    pair.public_key = "ssh-ed25519 AAAA";
    return pair;
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& pair : store->all<Keypair>()) all.push_back(pair->name);
    return all;
  }

  ScratchDir dir;
  const std::string path = dir / "agent.db";
  ManualClock clock;
  std::unique_ptr<Store> store;
};

// Holds the store's thread, so that what is written meanwhile waits at the same moment.
class Holdup {
 public:
  explicit Holdup(Store& store)
      : thread_([this, &store] {
          EXPECT_TRUE(store.write(Durability::kOrdered, [this](Tx&) -> Result<void> {
            door_.wait();
            return {};
          }));
        }) {
    EXPECT_TRUE(door_.wait_for_arrivals(1));
  }
  ~Holdup() {
    door_.open();
    thread_.join();
  }

 private:
  Door door_;
  std::thread thread_;
};

TEST_F(StoreTest, FileIsItsOwnersAlone) {
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(StoreTest, WhatWasWrittenIsThereAfterReopening) {
  ASSERT_TRUE(put("one"));
  Operation op;
  op.unique_id = "id-1";
  op.method = "build";
  op.instance_uuid = uuid_of(1);
  op.args = {{"instance", {{"uuid", uuid_of(1)}}}};
  op.deadline_us = 42;
  ASSERT_TRUE(store->write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(op.id, tx.insert_operation(op));
    op.state = Operation::State::kUndoing;
    op.next_step = -1;
    op.scratch = {{"base", "x"}};
    op.error = Fault{Code::kNoSpace, "build/create_disk", "no space", {"no space", "disk full"}, "free some", 5};
    CA_TRY_VOID(tx.update_operation(op));
    CA_TRY_VOID(tx.mark_seen("id-1"));
    CA_TRY_VOID(tx.spool_push("compute.lab", std::string("a\0b", 3)));
    return {};
  }));
  open();
  EXPECT_THAT(names(), ElementsAre("one"));
  const auto open_operations = store->open_operations();
  ASSERT_TRUE(open_operations);
  ASSERT_THAT(*open_operations, SizeIs(1));
  const Operation& back = open_operations->front();
  EXPECT_EQ(back.state, Operation::State::kUndoing);
  EXPECT_EQ(back.next_step, -1);
  EXPECT_EQ(back.scratch, op.scratch);
  EXPECT_EQ(back.args, op.args);
  EXPECT_EQ(back.deadline_us, 42);
  ASSERT_TRUE(back.error);
  EXPECT_EQ(back.error->code, Code::kNoSpace);
  EXPECT_THAT(back.error->causes, ElementsAre("no space", "disk full"));
  const auto spooled = store->spooled(0, 10);
  ASSERT_TRUE(spooled);
  ASSERT_THAT(*spooled, SizeIs(1));
  EXPECT_EQ(spooled->front().body, std::string("a\0b", 3));
  ASSERT_TRUE(store->write(Durability::kOrdered, [](Tx& tx) -> Result<void> {
    CA_TRY(const bool fresh, tx.mark_seen("id-1"));
    EXPECT_FALSE(fresh);
    return {};
  }));
}

TEST_F(StoreTest, FailedTransactionLeavesNothing) {
  const auto written = store->write(Durability::kOrdered, [](Tx& tx) -> Result<void> {
    CA_TRY_VOID(tx.put(keypair("half")));
    EXPECT_TRUE(tx.get<Keypair>("user/half"));  // its own writes are seen
    return fail(Code::kNoResources, "no address is left");
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kNoResources);
  EXPECT_THAT(names(), IsEmpty());
  open();
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(StoreTest, CallbackAfterCommitRunsOnlyWhenItWasCommitted) {
  int good = 0, bad = 0;
  ASSERT_TRUE(store->write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    tx.after_commit([&] { ++good; });
    return {};
  }));
  ASSERT_FALSE(store->write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    tx.after_commit([&] { ++bad; });
    return fail(Code::kInvalid, "no");
  }));
  EXPECT_EQ(good, 1);
  EXPECT_EQ(bad, 0);
}

TEST_F(StoreTest, TransactionsThatWaitAtOneMomentShareACommit) {
  // "work" of all in one group comes before the first "commit" of that group.
  std::mutex mutex;
  std::vector<std::string> sequence;
  const auto note = [&](const char* what) {
    const std::lock_guard lock(mutex);
    sequence.emplace_back(what);
  };
  const auto shared = [&] {
    for (std::size_t i = 1; i < sequence.size(); ++i) {
      if (sequence[i - 1] == "work" && sequence[i] == "work") return true;
    }
    return false;
  };
  // Which threads get to queue while the store is held is the scheduler's business; that it never happens in 50 rounds is not.
  for (int round = 0; round < 50 && !shared(); ++round) {
    std::vector<std::jthread> writers;
    const Holdup holdup(*store);
    std::atomic<int> ready = 0;
    for (int n = 0; n < 8; ++n) {
      writers.emplace_back([&, n] {
        ++ready;
        EXPECT_TRUE(store->write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
          note("work");
          tx.after_commit([&] { note("commit"); });
          return tx.put(keypair(std::to_string(n)));
        }));
      });
    }
    while (ready < 8) std::this_thread::yield();
  }
  EXPECT_TRUE(shared());
  EXPECT_THAT(names(), SizeIs(8));
}

TEST_F(StoreTest, JobThatFailsInAGroupIsUndoneAlone) {
  std::vector<std::jthread> writers;
  {
    const Holdup holdup(*store);
    for (int n = 0; n < 6; ++n) {
      writers.emplace_back([this, n] {
        const auto written = store->write(Durability::kOrdered, [n](Tx& tx) -> Result<void> {
          CA_TRY_VOID(tx.put(keypair("pair" + std::to_string(n))));
          if (n % 2 == 1) return fail(Code::kConflict, "odd");
          return {};
        });
        EXPECT_EQ(written.has_value(), n % 2 == 0);
      });
    }
  }
  writers.clear();
  EXPECT_THAT(names(), ElementsAre("pair0", "pair2", "pair4"));
  open();
  EXPECT_THAT(names(), ElementsAre("pair0", "pair2", "pair4"));
}

TEST_F(StoreTest, ExceptionInATransactionIsItsErrorAndTheStoreGoesOn) {
  const auto written = store->write(Durability::kOrdered, [](Tx& tx) -> Result<void> {
    CA_TRY_VOID(tx.put(keypair("half")));
    throw std::runtime_error("a defect");
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kInternal);
  EXPECT_THAT(written.error().message, HasSubstr("a defect"));
  EXPECT_TRUE(put("next"));
  EXPECT_THAT(names(), ElementsAre("next"));
}

TEST_F(StoreTest, SecondOpenerIsRefused) {
  const auto second = Store::open(path, clock);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().chain(), HasSubstr(path));
  EXPECT_THAT(second.error().action(), HasSubstr("another agent running"));
  EXPECT_TRUE(put("still mine"));
}

TEST_F(StoreTest, SchemaOfANewerAgentIsRefused) {
  store.reset();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version = 999", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto opened = Store::open(path, clock);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().chain(), HasSubstr("schema 999"));
  EXPECT_THAT(opened.error().action(), HasSubstr("newer agent"));
}

TEST_F(StoreTest, FileThatIsNoDatabaseIsRefusedAndLeftAsItIs) {
  store.reset();
  const std::string other = dir / "other.db";
  testing::write_text(other, "this is no database, however long it is");
  EXPECT_FALSE(Store::open(other, clock));
  EXPECT_EQ(testing::read_text(other), "this is no database, however long it is");
}

TEST_F(StoreTest, FinishedOperationsAreForgottenAfterAWeekAndOpenOnesNever) {
  const auto insert = [&](const std::string& id, Operation::State state) {
    Operation op;
    op.unique_id = id;
    op.method = "build";
    op.instance_uuid = uuid_of(1);
    op.state = state;
    EXPECT_TRUE(store->write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
      CA_TRY_VOID(tx.insert_operation(op));
      return {};
    }));
  };
  insert("open", Operation::State::kOpen);
  insert("done", Operation::State::kDone);
  clock.now_us += std::int64_t{8} * 24 * 3600 * 1'000'000;
  open();
  EXPECT_THAT(*store->open_operations(), SizeIs(1));
  insert("done", Operation::State::kDone);  // the id is free again
}

}  // namespace
}  // namespace ca
