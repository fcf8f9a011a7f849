#include "agent/bus/dispatcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/bus/envelope.h"

namespace ca {
namespace {
constexpr std::chrono::milliseconds kQueryLimit{30'000};

// What a stranger sent, fit for one line of the log.
std::string printable(std::string text, std::size_t longest) {
  text.resize(std::min(text.size(), longest));
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

Result<Json> ask(const Query& query, const Message& message) {
  try {
    return query(message);
  } catch (const std::exception& e) {
    return fail(Code::kInternal, message.method + " broke off: " + e.what(), "report this defect");
  }
}
}  // namespace

Dispatcher::Dispatcher(Bus& bus, Journal& journal, Store& store, SchemaSet& schemas, WorkerPool& workers)
    : bus_(bus), journal_(journal), store_(store), schemas_(schemas), workers_(workers) {
  journal_.on_reply([this](const Operation& op, const Result<Json>& outcome) {
    bus_.reply(op.reply_q, op.msg_id, outcome ? encode_result(op.msg_id, *outcome) : encode_failure(op.msg_id, outcome.error()));
  });
}

Result<void> Dispatcher::on_message(std::string_view body, const Acknowledge& acknowledge) {
  Message partial;
  auto message = decode_envelope(body, schemas_, &partial);
  if (!message) return refuse(partial, message.error(), acknowledge);
  if (const auto query = queries_.find(message->method); query != queries_.end()) {
    return answer(*message, query->second, acknowledge);
  }
  auto accepted = journal_.accept(*message, acknowledge);
  if (!accepted) return tl::unexpected<Error>(std::move(accepted).error());
  if (accepted->refusal) {
    spdlog::warn("{} {} refused: {}; {}", message->method, accepted->instance_uuid, accepted->refusal->chain(),
                 accepted->refusal->action());
    if (!message->msg_id.empty()) bus_.reply(message->reply_q, message->msg_id, encode_failure(message->msg_id, *accepted->refusal));
  }
  return {};
}

Result<void> Dispatcher::refuse(const Message& message, const Error& error, const Acknowledge& acknowledge) {
  spdlog::error("message '{}' {} dropped: {}; {}", printable(message.method, 64), printable(message.unique_id, 64),
                printable(error.chain(), 500), error.action());
  CA_TRY_VOID(store_.write(Durability::kOrdered, acknowledge));
  if (!message.msg_id.empty()) bus_.reply(message.reply_q, message.msg_id, encode_failure(message.msg_id, error));
  return {};
}

Result<void> Dispatcher::answer(const Message& message, const Query& query, const Acknowledge& acknowledge) {
  CA_TRY_VOID(store_.write(Durability::kOrdered, acknowledge));
  workers_.submit([this, message, query](TaskLease& lease) {
    lease.rearm(kQueryLimit, [this, message] {
      bus_.reply(message.reply_q, message.msg_id,
                 encode_failure(message.msg_id, fail(Code::kTimeout, message.method + " did not end in time").value()));
    });
    const Result<Json> outcome = ask(query, message);
    // Abandoned meanwhile: the caller was told already.
    if (!lease.rearm(kQueryLimit, [] {})) return;
    bus_.reply(message.reply_q, message.msg_id,
               outcome ? encode_result(message.msg_id, *outcome) : encode_failure(message.msg_id, outcome.error()));
  });
  return {};
}

}  // namespace ca
