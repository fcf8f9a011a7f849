#pragma once
// JSON written straight to text, for answers with thousands of members: building a document first costs several times as much.

#include <cstdint>
#include <string>
#include <string_view>

namespace ca {

class JsonText {
 public:
  // A member of the object at hand follows with the next call.
  JsonText& key(std::string_view name);
  JsonText& value(std::string_view text);
  JsonText& value(const char* text) { return value(std::string_view(text)); }
  JsonText& value(std::int64_t number);
  JsonText& value(bool yes);
  JsonText& null();
  // null when it is empty, as the Compute API says "none".
  JsonText& value_or_null(std::string_view text);
  // JSON that is complete in itself.
  JsonText& raw(std::string_view json);

  JsonText& begin_object() { return open('{'); }
  JsonText& end_object() { return close('}'); }
  JsonText& begin_array() { return open('['); }
  JsonText& end_array() { return close(']'); }

  template <typename T>
  JsonText& member(std::string_view name, T&& content) {
    return key(name).value(std::forward<T>(content));
  }

  [[nodiscard]] std::string take() { return std::move(text_); }
  void reserve(std::size_t bytes) { text_.reserve(bytes); }

 private:
  JsonText& open(char bracket);
  JsonText& close(char bracket);
  void separate();

  std::string text_;
  bool comma_ = false;  // a sibling stands before
};

}  // namespace ca
