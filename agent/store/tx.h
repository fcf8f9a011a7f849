#pragma once
// One write transaction. It sees its own writes; nobody else does until the commit. Runs on the store's thread: no I/O in it but
// the store's own, and no waiting.

#include <functional>
#include <string>
#include <vector>

#include "agent/core/clock.h"
#include "agent/store/operation.h"
#include "agent/store/record_kind.h"

namespace ca {

class Database;
struct Tables;

class Tx {
 public:
  Tx(Database& db, const Clock& clock) : db_(db), clock_(clock) {}

  // --- records
  template <typename T>
  Result<T> get(const std::string& id);  // kNotFound
  template <typename T>
  Result<std::vector<T>> all();
  template <typename T>
  Result<void> put(const T& record);
  template <typename T>
  Result<void> erase(const std::string& id);

  Result<std::int64_t> next_number(const std::string& sequence);
  Result<void> put_fact(const std::string& name, const std::string& key, const std::string& value);

  // --- spool
  Result<std::int64_t> spool_push(const std::string& topic, const std::string& body);
  Result<void> spool_erase(std::int64_t id);

  // --- journal
  // False: the id was seen before.
  Result<bool> mark_seen(const std::string& unique_id);
  Result<std::int64_t> insert_operation(const Operation& operation);
  Result<void> update_operation(const Operation& operation);
  // Was any operation of this method ever taken over for this instance?
  Result<bool> has_operation(const std::string& method, const Uuid& instance_uuid);

  // Drops a secret from the arguments of this method's operations on the instance that are over.
  Result<void> forget_argument(const std::string& method, const Uuid& instance_uuid, const std::string& name);

  // --- server actions
  Result<void> start_action(const InstanceAction& action);
  Result<void> finish_action(const Uuid& instance, const std::string& request_id, const std::string& message);
  Result<void> add_event(const Uuid& instance, const std::string& request_id, const ActionEvent& event);

  [[nodiscard]] std::int64_t now_us() const { return clock_.wall_us(); }
  // Runs after the commit succeeded, on the store's thread; must be quick.
  void after_commit(std::function<void()> callback) { after_.push_back(std::move(callback)); }

 private:
  friend class Store;

  Result<std::string> get_text(std::string_view kind, const std::string& id);
  Result<std::vector<std::string>> all_text(std::string_view kind);
  Result<void> put_text(std::string_view kind, const std::string& id, const std::string& text);
  Result<bool> erase_text(std::string_view kind, const std::string& id);

  Database& db_;
  const Clock& clock_;
  std::vector<std::function<void(Tables&)>> changes_;  // of the tables in memory
  std::vector<std::function<void()>> after_;
};

}  // namespace ca
