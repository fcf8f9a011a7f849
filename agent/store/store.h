#pragma once
// The agent's records and journal in one SQLite file (WAL), with all records in memory as well, so that reads never touch the disk.
//
// One thread writes. Transactions that wait at the same moment share one commit, so ten builds cost one fsync. Readers take
// immutable snapshots under a lock that is never held across I/O.

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/core/clock.h"
#include "agent/store/tx.h"

namespace ca {

template <typename T>
using Rows = std::map<std::string, std::shared_ptr<const T>>;

struct Tables {
  Rows<Instance> instances;
  Rows<Flavor> flavors;
  Rows<ImageMeta> images;
  Rows<Network> networks;
  Rows<Subnet> subnets;
  Rows<Port> ports;
  Rows<Keypair> keypairs;
  Rows<Volume> volumes;
  Rows<VolumeSnapshot> volume_snapshots;
  Rows<Service> services;

  template <typename T>
  Rows<T>& rows();
};

enum class Durability {
  kOrdered,  // on disk before anything later; lost at worst by a power cut, and then a step is run again
  kFsync,    // on disk when write() returns: what somebody was told
};

struct SpooledMessage {
  std::int64_t id = 0;
  std::string topic;
  std::string body;
};

class Store {
 public:
  // Opens or makes the file (0600), brings the schema up to date, loads the records. Errors name the path.
  static Result<std::unique_ptr<Store>> open(const std::string& path, const Clock& clock);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  using Work = std::function<Result<void>(Tx&)>;
  // Runs `work` on the store's thread and returns when it is committed. An error of `work` undoes it alone.
  Result<void> write(Durability durability, Work work);

  template <typename T>
  [[nodiscard]] std::shared_ptr<const T> get(const std::string& id) const;
  template <typename T>
  [[nodiscard]] std::vector<std::shared_ptr<const T>> all() const;
  template <typename T>
  [[nodiscard]] std::size_t count() const;

  // --- reads of what is not kept in memory; each on the store's thread
  Result<std::vector<Operation>> open_operations();
  Result<std::vector<SpooledMessage>> spooled(std::int64_t after_id, std::size_t limit);
  Result<std::vector<InstanceAction>> actions(const Uuid& instance);  // newest first, without events
  Result<InstanceAction> action(const Uuid& instance, const std::string& request_id);
  Result<std::optional<std::string>> fact(const std::string& name, const std::string& key);

 private:
  struct Job {
    Durability durability;
    Work work;
    Result<void> result;
    std::vector<std::function<void(Tables&)>> changes;
    std::vector<std::function<void()>> after;
    bool done = false;
  };

  Store(std::unique_ptr<Database> db, const Clock& clock);
  Result<void> migrate();
  Result<void> load();
  Result<void> prune();
  void loop();
  void run_batch(std::vector<Job*>& batch);
  static Result<void> run_job(const Job& job, Tx& tx);

  std::unique_ptr<Database> db_;
  const Clock& clock_;
  bool full_sync_ = true;

  mutable std::shared_mutex tables_mutex_;
  Tables tables_;

  std::mutex queue_mutex_;
  std::condition_variable queued_;
  std::condition_variable finished_;
  std::deque<Job*> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ca
