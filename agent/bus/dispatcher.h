#pragma once
// Method -> verb or query. Verbs are orders: journaled, one after the other per instance. Queries change nothing: they run on a
// bounded worker and answer a call.

#include <functional>
#include <map>
#include <string>

#include "agent/bus/bus.h"
#include "agent/journal/journal.h"
#include "agent/runtime/schema_set.h"
#include "agent/runtime/worker_pool.h"

namespace ca {

using Query = std::function<Result<Json>(const Message&)>;

class Dispatcher final : public BusHandler {
 public:
  Dispatcher(Bus& bus, Journal& journal, Store& store, SchemaSet& schemas, WorkerPool& workers);

  void add_query(const std::string& method, Query query) { queries_[method] = std::move(query); }
  Result<void> on_message(std::string_view body, const Acknowledge& acknowledge) override;

 private:
  Result<void> refuse(const Message& message, const Error& error, const Acknowledge& acknowledge);
  Result<void> answer(const Message& message, const Query& query, const Acknowledge& acknowledge);

  Bus& bus_;
  Journal& journal_;
  Store& store_;
  SchemaSet& schemas_;
  WorkerPool& workers_;
  std::map<std::string, Query> queries_;
};

}  // namespace ca
