#include "agent/store/sqlite.h"

#include <stdexcept>

namespace ca {
namespace {

Code code_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_FULL: return Code::kNoSpace;
    case SQLITE_IOERR: return Code::kIo;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Code::kUnavailable;
    case SQLITE_CONSTRAINT: return Code::kConflict;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN: return Code::kForbidden;
    case SQLITE_TOOBIG: return Code::kTooLarge;
    default: return Code::kInternal;
  }
}

tl::unexpected<Error> sqlite_error(sqlite3* db, int rc) {
  return fail(code_of(rc), std::string("store: ") + (db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(rc)),
              (rc & 0xff) == SQLITE_FULL ? "free space on the file system of the agent's data_path" : "");
}

}  // namespace

Statement& Statement::bind(std::string_view text) {
  sqlite3_bind_text64(stmt_, next_++, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind(std::int64_t number) {
  sqlite3_bind_int64(stmt_, next_++, number);
  return *this;
}

Statement& Statement::bind_null() {
  sqlite3_bind_null(stmt_, next_++);
  return *this;
}

Result<bool> Statement::step() {
  const int rc = sqlite3_step(stmt_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return sqlite_error(sqlite3_db_handle(stmt_), rc);
}

Result<void> Statement::run() {
  while (true) {
    CA_TRY(const bool row, step());
    if (!row) return {};
  }
}

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(stmt_, column));
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(stmt_, column)));
}

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(stmt_, column); }

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  sqlite3* db = nullptr;
  const int rc =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
  if (rc != SQLITE_OK) {
    auto error = sqlite_error(db, rc);
    sqlite3_close_v2(db);
    return wrap(std::move(error).value(), "cannot open " + path, "check that the agent's user may write there");
  }
  std::unique_ptr<Database> database(new Database(db));
  sqlite3_busy_timeout(db, 1000);
  // A damaged or hostile file must not be able to run code through the schema.
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  return database;
}

Database::~Database() {
  for (const auto& [sql, stmt] : statements_) sqlite3_finalize(stmt);
  sqlite3_close_v2(db_);
}

Result<void> Database::exec(const std::string& sql) {
  const int rc = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return sqlite_error(db_, rc);
  return {};
}

Statement Database::prepare(std::string_view sql) {
  auto [at, fresh] = statements_.try_emplace(std::string(sql), nullptr);
  if (fresh && sqlite3_prepare_v3(db_, at->first.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &at->second, nullptr) != SQLITE_OK) {
    // Only a wrong SQL text of ours gets here; statements are literals.
    const std::string why = sqlite3_errmsg(db_);
    statements_.erase(at);
    throw std::logic_error("store: " + why + " in " + std::string(sql));
  }
  return Statement(at->second);
}

}  // namespace ca
