#include "agent/store/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/sqlite.h"
#include "schemas/embedded.h"

namespace ca {
namespace {

constexpr std::size_t kLargestBatch = 128;
constexpr std::int64_t kKeepFinishedUs = std::int64_t{7} * 24 * 3600 * 1'000'000;
constexpr std::int64_t kKeepActionsUs = std::int64_t{90} * 24 * 3600 * 1'000'000;

Operation::State state_from(const std::string& text) {
  if (text == "open") return Operation::State::kOpen;
  if (text == "undoing") return Operation::State::kUndoing;
  if (text == "done") return Operation::State::kDone;
  return Operation::State::kFailed;
}

template <typename T>
Result<void> load_rows(Tx& tx, Rows<T>& rows) {
  CA_TRY(auto all, tx.all<T>());
  for (T& record : all) {
    std::string id = RecordKind<T>::id(record);
    rows.emplace(std::move(id), std::make_shared<const T>(std::move(record)));
  }
  return {};
}

}  // namespace

template <>
Rows<Instance>& Tables::rows<Instance>() {
  return instances;
}
template <>
Rows<Flavor>& Tables::rows<Flavor>() {
  return flavors;
}
template <>
Rows<ImageMeta>& Tables::rows<ImageMeta>() {
  return images;
}
template <>
Rows<Network>& Tables::rows<Network>() {
  return networks;
}
template <>
Rows<Subnet>& Tables::rows<Subnet>() {
  return subnets;
}
template <>
Rows<Port>& Tables::rows<Port>() {
  return ports;
}
template <>
Rows<Keypair>& Tables::rows<Keypair>() {
  return keypairs;
}
template <>
Rows<Volume>& Tables::rows<Volume>() {
  return volumes;
}
template <>
Rows<VolumeSnapshot>& Tables::rows<VolumeSnapshot>() {
  return volume_snapshots;
}
template <>
Rows<Service>& Tables::rows<Service>() {
  return services;
}

Store::Store(std::unique_ptr<Database> db, const Clock& clock) : db_(std::move(db)), clock_(clock) {}

Result<std::unique_ptr<Store>> Store::open(const std::string& path, const Clock& clock) {
  // Made 0600 before SQLite sees it: the records hold user data and keys.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return wrap(fail_errno(errno, path).value(), "cannot open the store",
                "check that data_path exists and the agent's user may write there");
  }
  ::close(fd);
  CA_TRY(auto db, Database::open(path));
  std::unique_ptr<Store> store(new Store(std::move(db), clock));
  // locking_mode=EXCLUSIVE: a second agent on the same file fails at once instead of doing everything twice.
  for (const char* pragma : {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL",
                             "PRAGMA cache_size = -512", "PRAGMA foreign_keys = ON", "PRAGMA wal_autocheckpoint = 1000"}) {
    if (auto done = store->db_->exec(pragma); !done) {
      return wrap(std::move(done).error(), "cannot open the store " + path,
                  "is another agent running with the same data_path? If not, the file may be damaged: restore or move it away");
    }
  }
  if (auto done = store->migrate(); !done) return wrap(std::move(done).error(), "cannot bring the schema of " + path + " up to date");
  if (auto done = store->prune(); !done) return wrap(std::move(done).error(), "cannot read the store " + path);
  if (auto done = store->load(); !done) return wrap(std::move(done).error(), "cannot read the store " + path);
  store->thread_ = std::thread([raw = store.get()] { raw->loop(); });
  return store;
}

Store::~Store() {
  {
    const std::lock_guard lock(queue_mutex_);
    stopping_ = true;
    queued_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Result<void> Store::migrate() {
  std::int64_t version = 0;
  {
    auto select = db_->prepare("PRAGMA user_version");
    CA_TRY(const bool row, select.step());
    if (row) version = select.number(0);
  }
  std::int64_t newest = 0;
  for (const EmbeddedFile& file : embedded_files()) {
    if (!file.name.starts_with("sql/")) continue;
    const std::int64_t number = std::stoll(std::string(file.name.substr(4, 4)));
    newest = std::max(newest, number);
    if (number <= version) continue;
    CA_TRY_VOID(db_->exec("BEGIN IMMEDIATE"));
    auto done = db_->exec(std::string(file.text));
    if (done) done = db_->exec(fmt::format("PRAGMA user_version = {}", number));
    if (!done) {
      [[maybe_unused]] const auto undone = db_->exec("ROLLBACK");
      return done;
    }
    CA_TRY_VOID(db_->exec("COMMIT"));
  }
  if (version > newest) {
    return fail(Code::kInvalid, fmt::format("the store has schema {}, this agent knows up to {}", version, newest),
                "start the newer agent that wrote it");
  }
  return {};
}

Result<void> Store::prune() {
  const std::int64_t finished_before = clock_.wall_us() - kKeepFinishedUs;
  const std::int64_t actions_before = clock_.wall_us() - kKeepActionsUs;
  CA_TRY_VOID(db_->prepare("DELETE FROM seen_message WHERE at_us < ?").bind(finished_before).run());
  CA_TRY_VOID(db_->prepare("DELETE FROM operation WHERE state IN ('done', 'failed') AND updated_us < ?").bind(finished_before).run());
  CA_TRY_VOID(db_->prepare("DELETE FROM action_event WHERE start_us < ?").bind(actions_before).run());
  return db_->prepare("DELETE FROM action WHERE updated_us < ?").bind(actions_before).run();
}

Result<void> Store::load() {
  Tx tx(*db_, clock_);
  CA_TRY_VOID(load_rows(tx, tables_.instances));
  CA_TRY_VOID(load_rows(tx, tables_.flavors));
  CA_TRY_VOID(load_rows(tx, tables_.images));
  CA_TRY_VOID(load_rows(tx, tables_.networks));
  CA_TRY_VOID(load_rows(tx, tables_.subnets));
  CA_TRY_VOID(load_rows(tx, tables_.ports));
  CA_TRY_VOID(load_rows(tx, tables_.keypairs));
  CA_TRY_VOID(load_rows(tx, tables_.volumes));
  CA_TRY_VOID(load_rows(tx, tables_.volume_snapshots));
  return load_rows(tx, tables_.services);
}

Result<void> Store::write(Durability durability, Work work) {
  Job job{durability, std::move(work), {}, {}, {}, false};
  std::unique_lock lock(queue_mutex_);
  if (stopping_) return fail(Code::kCancelled, "the store is closed: the agent is stopping");
  queue_.push_back(&job);
  queued_.notify_one();
  finished_.wait(lock, [&job] { return job.done; });
  return std::move(job.result);
}

void Store::loop() {
  std::unique_lock lock(queue_mutex_);
  while (true) {
    queued_.wait(lock, [this] { return !queue_.empty() || stopping_; });
    if (queue_.empty()) return;
    std::vector<Job*> batch;
    while (!queue_.empty() && batch.size() < kLargestBatch) {
      batch.push_back(queue_.front());
      queue_.pop_front();
    }
    lock.unlock();
    run_batch(batch);
    lock.lock();
    for (Job* job : batch) job->done = true;
    finished_.notify_all();
  }
}

// An exception is a defect of one job's work; it must not end the agent, which would take up the same work at its next start.
Result<void> Store::run_job(const Job& job, Tx& tx) {
  try {
    return job.work(tx);
  } catch (const std::exception& e) {
    return fail(Code::kInternal, fmt::format("store: a transaction broke off: {}", e.what()), "report this defect");
  }
}

void Store::run_batch(std::vector<Job*>& batch) {
  bool fsync = false;
  for (const Job* job : batch) fsync = fsync || job->durability == Durability::kFsync;
  Result<void> all;
  if (fsync != full_sync_) {
    all = db_->exec(fsync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    full_sync_ = fsync;
  }
  if (all) all = db_->exec("BEGIN IMMEDIATE");
  for (Job* job : batch) {
    if (!all) break;
    all = db_->exec("SAVEPOINT job");
    if (!all) break;
    Tx tx(*db_, clock_);
    job->result = run_job(*job, tx);
    if (job->result) {
      job->changes = std::move(tx.changes_);
      job->after = std::move(tx.after_);
    } else if (!db_->exec("ROLLBACK TO job")) {
      all = job->result;  // SQLite rolled everything back itself: no space, a read or write error
      break;
    }
    all = db_->exec("RELEASE job");
  }
  if (all) all = db_->exec("COMMIT");
  if (!all) {
    [[maybe_unused]] const auto undone = db_->exec("ROLLBACK");
    for (Job* job : batch) {
      if (job->result) job->result = tl::unexpected<Error>(all.error());
    }
    return;
  }
  {
    const std::unique_lock lock(tables_mutex_);
    for (Job* job : batch) {
      for (const auto& change : job->changes) change(tables_);
    }
  }
  for (Job* job : batch) {
    for (const auto& callback : job->after) callback();
  }
}

template <typename T>
std::shared_ptr<const T> Store::get(const std::string& id) const {
  const std::shared_lock lock(tables_mutex_);
  const auto& rows = const_cast<Tables&>(tables_).rows<T>();
  const auto row = rows.find(id);
  return row == rows.end() ? nullptr : row->second;
}

template <typename T>
std::vector<std::shared_ptr<const T>> Store::all() const {
  const std::shared_lock lock(tables_mutex_);
  const auto& rows = const_cast<Tables&>(tables_).rows<T>();
  std::vector<std::shared_ptr<const T>> records;
  records.reserve(rows.size());
  for (const auto& [id, record] : rows) records.push_back(record);
  return records;
}

template <typename T>
std::size_t Store::count() const {
  const std::shared_lock lock(tables_mutex_);
  return const_cast<Tables&>(tables_).rows<T>().size();
}

#define CA_INSTANTIATE(T)                                                    \
  template std::shared_ptr<const T> Store::get<T>(const std::string&) const; \
  template std::vector<std::shared_ptr<const T>> Store::all<T>() const;      \
  template std::size_t Store::count<T>() const;
CA_INSTANTIATE(Instance)
CA_INSTANTIATE(Flavor)
CA_INSTANTIATE(ImageMeta)
CA_INSTANTIATE(Network)
CA_INSTANTIATE(Subnet)
CA_INSTANTIATE(Port)
CA_INSTANTIATE(Keypair)
CA_INSTANTIATE(Volume)
CA_INSTANTIATE(VolumeSnapshot)
CA_INSTANTIATE(Service)
#undef CA_INSTANTIATE

Result<std::vector<Operation>> Store::open_operations() {
  std::vector<Operation> all;
  CA_TRY_VOID(write(Durability::kOrdered, [this, &all](Tx&) -> Result<void> {
    auto select = db_->prepare(
        "SELECT id, unique_id, method, instance_uuid, request_id, args, msg_id, reply_q, state, next_step, scratch, error, "
        "deadline_us, created_us, updated_us FROM operation WHERE state IN ('open', 'undoing') ORDER BY id");
    while (true) {
      CA_TRY(const bool row, select.step());
      if (!row) return {};
      Operation op;
      op.id = select.number(0);
      op.unique_id = select.text(1);
      op.method = select.text(2);
      op.instance_uuid = select.text(3);
      op.request_id = select.text(4);
      op.args = Json::parse(select.text(5), nullptr, false);
      op.msg_id = select.text(6);
      op.reply_q = select.text(7);
      op.state = state_from(select.text(8));
      op.next_step = select.number(9);
      op.scratch = Json::parse(select.text(10), nullptr, false);
      if (const std::string error = select.text(11); !error.empty()) {
        if (auto fault = fault_from_json(Json::parse(error, nullptr, false))) op.error = *fault;
      }
      op.deadline_us = select.number(12);
      op.created_us = select.number(13);
      op.updated_us = select.number(14);
      all.push_back(std::move(op));
    }
  }));
  return all;
}

Result<std::vector<SpooledMessage>> Store::spooled(std::int64_t after_id, std::size_t limit) {
  std::vector<SpooledMessage> all;
  CA_TRY_VOID(write(Durability::kOrdered, [&](Tx&) -> Result<void> {
    auto select = db_->prepare("SELECT id, topic, body FROM spool WHERE id > ? ORDER BY id LIMIT ?");
    select.bind(after_id).bind(static_cast<std::int64_t>(limit));
    while (true) {
      CA_TRY(const bool row, select.step());
      if (!row) return {};
      all.push_back({select.number(0), select.text(1), select.text(2)});
    }
  }));
  return all;
}

Result<std::vector<InstanceAction>> Store::actions(const Uuid& instance) {
  std::vector<InstanceAction> all;
  CA_TRY_VOID(write(Durability::kOrdered, [&](Tx&) -> Result<void> {
    auto select = db_->prepare(
        "SELECT request_id, action, user_id, project_id, start_us, updated_us, message FROM action "
        "WHERE instance_uuid = ? ORDER BY start_us DESC LIMIT 1000");
    select.bind(instance);
    while (true) {
      CA_TRY(const bool row, select.step());
      if (!row) return {};
      all.push_back({select.text(0),
                     instance,
                     select.text(1),
                     select.text(2),
                     select.text(3),
                     select.number(4),
                     select.number(5),
                     select.text(6),
                     {}});
    }
  }));
  return all;
}

Result<InstanceAction> Store::action(const Uuid& instance, const std::string& request_id) {
  CA_TRY(auto all, actions(instance));
  for (InstanceAction& action : all) {
    if (action.request_id != request_id) continue;
    CA_TRY_VOID(write(Durability::kOrdered, [&](Tx&) -> Result<void> {
      auto select = db_->prepare(
          "SELECT event, start_us, finish_us, result, details FROM action_event "
          "WHERE instance_uuid = ? AND request_id = ? ORDER BY id");
      select.bind(instance).bind(request_id);
      while (true) {
        CA_TRY(const bool row, select.step());
        if (!row) return {};
        action.events.push_back({select.text(0), select.number(1), select.number(2), select.text(3), select.text(4)});
      }
    }));
    return action;
  }
  return fail(Code::kNotFound, fmt::format("no action with request id '{}' on instance {}", request_id, instance));
}

Result<std::optional<std::string>> Store::fact(const std::string& name, const std::string& key) {
  std::optional<std::string> value;
  CA_TRY_VOID(write(Durability::kOrdered, [&](Tx&) -> Result<void> {
    auto select = db_->prepare("SELECT value FROM fact WHERE name = ? AND key = ?");
    CA_TRY(const bool row, select.bind(name).bind(key).step());
    if (row) value = select.text(0);
    return {};
  }));
  return value;
}

}  // namespace ca
