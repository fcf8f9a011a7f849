// JSON as Python's json.dump writes it: ASCII only, an indent of two, or ", " and ": " on one line.

#include "agent/ctl/format/writers.h"

namespace ca::ctl {
namespace {

class Writer {
 public:
  explicit Writer(bool indent) : indent_(indent) {}

  void open(char bracket) {
    out_ += bracket;
    ++depth_;
    first_ = true;
  }
  void item() {
    if (!first_) out_ += indent_ ? "," : ", ";
    first_ = false;
    new_line();
  }
  void key(const std::string& name) {
    item();
    scalar(Json(name));
    out_ += ": ";
  }
  void close(char bracket) {
    --depth_;
    if (!first_) new_line();
    out_ += bracket;
    first_ = false;
  }
  void value(const Json& json) {
    if (json.is_object()) {
      open('{');
      for (const auto& [name, member] : json.items()) {
        key(name);
        value(member);
      }
      close('}');
    } else if (json.is_array()) {
      open('[');
      for (const Json& member : json) {
        item();
        value(member);
      }
      close(']');
    } else {
      scalar(json);
    }
  }
  std::string take() { return std::move(out_) + "\n"; }

 private:
  void scalar(const Json& json) { out_ += json.dump(-1, ' ', true, Json::error_handler_t::replace); }
  void new_line() {
    if (indent_) out_ += "\n" + std::string(static_cast<std::size_t>(depth_) * 2, ' ');
  }

  bool indent_;
  bool first_ = true;
  int depth_ = 0;
  std::string out_;
};

void write_members(Writer& writer, const std::vector<std::string>& names, const std::vector<Cell>& cells) {
  writer.open('{');
  for (std::size_t i = 0; i < names.size(); ++i) {
    writer.key(names[i]);
    writer.value(cells[i].machine);
  }
  writer.close('}');
}

}  // namespace

std::string json_text(const Listing& listing, const FormatOptions& options) {
  Writer writer(!options.noindent);
  writer.open('[');
  for (const auto& row : listing.rows) {
    writer.item();
    write_members(writer, listing.columns, row);
  }
  writer.close(']');
  return writer.take();
}

std::string json_text(const Details& details, const FormatOptions& options) {
  Writer writer(!options.noindent);
  write_members(writer, details.fields, details.values);
  return writer.take();
}

}  // namespace ca::ctl
