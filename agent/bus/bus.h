#pragma once
// How messages reach the agent. spool.* keeps them in the agent's own store; amqp/ (RabbitMQ) comes with clusters. Nothing outside
// this room and the wiring in main.cc knows which one is in use.

#include <functional>
#include <string>
#include <string_view>

#include "agent/core/error.h"
#include "agent/journal/message.h"
#include "agent/store/tx.h"

namespace ca {

// Acknowledges one delivery inside the transaction that takes it over.
using Acknowledge = std::function<Result<void>(Tx&)>;

class BusHandler {
 public:
  virtual ~BusHandler() = default;
  // Takes the message over durably, or refuses it for good (malformed). An error means: not now, deliver it again.
  virtual Result<void> on_message(std::string_view body, const Acknowledge& acknowledge) = 0;
};

class Bus {
 public:
  virtual ~Bus() = default;
  virtual void start(BusHandler& handler) = 0;
  // No message is handed out after this returns.
  virtual void stop() = 0;

  // Publishes to `topic` ("compute.<host>") as part of the caller's transaction: sent exactly when that is committed.
  virtual Result<void> publish(Tx& tx, const std::string& topic, const Message& message) = 0;
  // Puts a raw body in, whatever it is; checked when it is taken out. kTooLarge over kLargestMessage.
  virtual Result<void> publish_raw(const std::string& topic, std::string_view body) = 0;

  // Sends a reply body to the queue that a call named.
  virtual void reply(const std::string& reply_q, const std::string& msg_id, const std::string& body) = 0;
  // Calls `on_reply` once with the reply to `msg_id`, or with kTimeout after `limit`.
  virtual void expect_reply(const std::string& msg_id, std::chrono::milliseconds limit,
                            std::function<void(Result<std::string>)> on_reply) = 0;
};

}  // namespace ca
