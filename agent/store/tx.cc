#include "agent/store/tx.h"

#include <fmt/format.h>

#include "agent/store/sqlite.h"
#include "agent/store/store.h"

namespace ca {

std::string_view to_string(Operation::State state) {
  switch (state) {
    case Operation::State::kOpen: return "open";
    case Operation::State::kUndoing: return "undoing";
    case Operation::State::kDone: return "done";
    case Operation::State::kFailed: return "failed";
  }
  return "failed";
}

Result<std::string> Tx::get_text(std::string_view kind, const std::string& id) {
  auto select = db_.prepare("SELECT record FROM record WHERE kind = ? AND id = ?");
  CA_TRY(const bool row, select.bind(kind).bind(id).step());
  if (!row) return fail(Code::kNotFound, fmt::format("no {} with id '{}'", kind, id));
  return select.text(0);
}

Result<std::vector<std::string>> Tx::all_text(std::string_view kind) {
  auto select = db_.prepare("SELECT record FROM record WHERE kind = ? ORDER BY id");
  select.bind(kind);
  std::vector<std::string> texts;
  while (true) {
    CA_TRY(const bool row, select.step());
    if (!row) return texts;
    texts.push_back(select.text(0));
  }
}

Result<void> Tx::put_text(std::string_view kind, const std::string& id, const std::string& text) {
  return db_
      .prepare(
          "INSERT INTO record (kind, id, record) VALUES (?, ?, ?) "
          "ON CONFLICT (kind, id) DO UPDATE SET record = excluded.record")
      .bind(kind)
      .bind(id)
      .bind(text)
      .run();
}

Result<bool> Tx::erase_text(std::string_view kind, const std::string& id) {
  CA_TRY_VOID(db_.prepare("DELETE FROM record WHERE kind = ? AND id = ?").bind(kind).bind(id).run());
  return db_.changes() > 0;
}

namespace {

template <typename T>
Result<T> parse_record(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return fail(Code::kInternal, "store: a record is not JSON");
  return RecordKind<T>::from_json(json);
}

}  // namespace

template <typename T>
Result<T> Tx::get(const std::string& id) {
  CA_TRY(const std::string text, get_text(RecordKind<T>::kName, id));
  return parse_record<T>(text);
}

template <typename T>
Result<std::vector<T>> Tx::all() {
  CA_TRY(const auto texts, all_text(RecordKind<T>::kName));
  std::vector<T> records;
  records.reserve(texts.size());
  for (const std::string& text : texts) {
    CA_TRY(T record, parse_record<T>(text));
    records.push_back(std::move(record));
  }
  return records;
}

template <typename T>
Result<void> Tx::put(const T& record) {
  const std::string id = RecordKind<T>::id(record);
  // replace: a name with broken UTF-8 must not bring the store down.
  CA_TRY_VOID(put_text(RecordKind<T>::kName, id, to_json(record).dump(-1, ' ', false, Json::error_handler_t::replace)));
  changes_.push_back([id, row = std::make_shared<const T>(record)](Tables& tables) { tables.rows<T>()[id] = row; });
  return {};
}

template <typename T>
Result<void> Tx::erase(const std::string& id) {
  CA_TRY(const bool there, erase_text(RecordKind<T>::kName, id));
  if (!there) return fail(Code::kNotFound, fmt::format("no {} with id '{}'", RecordKind<T>::kName, id));
  changes_.push_back([id](Tables& tables) { tables.rows<T>().erase(id); });
  return {};
}

#define CA_INSTANTIATE(T)                            \
  template Result<T> Tx::get<T>(const std::string&); \
  template Result<std::vector<T>> Tx::all<T>();      \
  template Result<void> Tx::put<T>(const T&);        \
  template Result<void> Tx::erase<T>(const std::string&);
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

Result<std::int64_t> Tx::next_number(const std::string& sequence) {
  auto update = db_.prepare("UPDATE sequence SET value = value + 1 WHERE name = ? RETURNING value");
  CA_TRY(const bool row, update.bind(sequence).step());
  if (!row) return fail(Code::kInternal, "store: no sequence " + sequence);
  const std::int64_t value = update.number(0);
  CA_TRY_VOID(update.run());
  return value;
}

Result<void> Tx::put_fact(const std::string& name, const std::string& key, const std::string& value) {
  return db_
      .prepare(
          "INSERT INTO fact (name, key, value) VALUES (?, ?, ?) "
          "ON CONFLICT (name) DO UPDATE SET key = excluded.key, value = excluded.value")
      .bind(name)
      .bind(key)
      .bind(value)
      .run();
}

Result<std::int64_t> Tx::spool_push(const std::string& topic, const std::string& body) {
  CA_TRY_VOID(db_.prepare("INSERT INTO spool (topic, body) VALUES (?, ?)").bind(topic).bind(body).run());
  return db_.last_insert_id();
}

Result<void> Tx::spool_erase(std::int64_t id) { return db_.prepare("DELETE FROM spool WHERE id = ?").bind(id).run(); }

Result<bool> Tx::mark_seen(const std::string& unique_id) {
  CA_TRY_VOID(db_.prepare("INSERT OR IGNORE INTO seen_message (unique_id, at_us) VALUES (?, ?)").bind(unique_id).bind(now_us()).run());
  return db_.changes() > 0;
}

Result<std::int64_t> Tx::insert_operation(const Operation& op) {
  CA_TRY_VOID(db_.prepare("INSERT INTO operation (unique_id, method, instance_uuid, request_id, args, msg_id, reply_q, state, "
                          "next_step, scratch, error, deadline_us, created_us, updated_us) "
                          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)")
                  .bind(op.unique_id)
                  .bind(op.method)
                  .bind(op.instance_uuid)
                  .bind(op.request_id)
                  .bind(op.args.dump())
                  .bind(op.msg_id)
                  .bind(op.reply_q)
                  .bind(to_string(op.state))
                  .bind(op.next_step)
                  .bind(op.scratch.dump())
                  .bind(op.deadline_us)
                  .bind(now_us())
                  .bind(now_us())
                  .run());
  return db_.last_insert_id();
}

Result<void> Tx::update_operation(const Operation& op) {
  auto update = db_.prepare("UPDATE operation SET state = ?, next_step = ?, scratch = ?, error = ?, updated_us = ? WHERE id = ?");
  update.bind(to_string(op.state)).bind(op.next_step).bind(op.scratch.dump());
  if (op.error) {
    update.bind(to_json(*op.error).dump(-1, ' ', false, Json::error_handler_t::replace));
  } else {
    update.bind_null();
  }
  return update.bind(now_us()).bind(op.id).run();
}

Result<bool> Tx::has_operation(const std::string& method, const Uuid& instance_uuid) {
  return db_.prepare("SELECT 1 FROM operation WHERE instance_uuid = ? AND method = ? LIMIT 1").bind(instance_uuid).bind(method).step();
}

Result<void> Tx::forget_argument(const std::string& method, const Uuid& instance_uuid, const std::string& name) {
  return db_
      .prepare(
          "UPDATE operation SET args = json_remove(args, '$.' || ?) "
          "WHERE instance_uuid = ? AND method = ? AND state IN ('done', 'failed')")
      .bind(name)
      .bind(instance_uuid)
      .bind(method)
      .run();
}

Result<void> Tx::start_action(const InstanceAction& action) {
  return db_
      .prepare(
          "INSERT OR IGNORE INTO action (request_id, instance_uuid, action, user_id, project_id, start_us, "
          "updated_us, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(action.request_id)
      .bind(action.instance_uuid)
      .bind(action.action)
      .bind(action.user_id)
      .bind(action.project_id)
      .bind(action.start_us)
      .bind(action.updated_us)
      .bind(action.message)
      .run();
}

Result<void> Tx::finish_action(const Uuid& instance, const std::string& request_id, const std::string& message) {
  return db_.prepare("UPDATE action SET updated_us = ?, message = ? WHERE instance_uuid = ? AND request_id = ?")
      .bind(now_us())
      .bind(message)
      .bind(instance)
      .bind(request_id)
      .run();
}

Result<void> Tx::add_event(const Uuid& instance, const std::string& request_id, const ActionEvent& event) {
  return db_
      .prepare(
          "INSERT INTO action_event (instance_uuid, request_id, event, start_us, finish_us, result, details) "
          "VALUES (?, ?, ?, ?, ?, ?, ?)")
      .bind(instance)
      .bind(request_id)
      .bind(event.event)
      .bind(event.start_us)
      .bind(event.finish_us)
      .bind(event.result)
      .bind(event.details)
      .run();
}

}  // namespace ca
