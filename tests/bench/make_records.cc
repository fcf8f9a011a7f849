// bench-records DATABASE COUNT: writes the records of COUNT stopped instances into a store whose agent is down, and prints their
// "uuid name" lines.

#include <iostream>

#include "agent/store/store.h"
#include "tests/bench/sample_records.h"

namespace {

ca::Result<void> put_all(ca::Tx& tx, const ca::bench::SampleRecords& all) {
  CA_TRY_VOID(tx.put(all.flavor));
  CA_TRY_VOID(tx.put(all.image));
  CA_TRY_VOID(tx.put(all.network));
  CA_TRY_VOID(tx.put(all.subnet));
  for (const ca::Port& port : all.ports) CA_TRY_VOID(tx.put(port));
  for (const ca::Instance& instance : all.instances) CA_TRY_VOID(tx.put(instance));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: bench-records DATABASE COUNT\n";
    return 2;
  }
  const ca::SystemClock clock;
  const auto all = ca::bench::sample_records(std::stoi(argv[2]));
  auto store = ca::Store::open(argv[1], clock);
  auto written = store ? (*store)->write(ca::Durability::kFsync, [&](ca::Tx& tx) { return put_all(tx, all); })
                       : ca::Result<void>(tl::unexpected<ca::Error>(store.error()));
  if (!written) {
    std::cerr << "bench-records: " << written.error().chain() << "\n";
    return 1;
  }
  for (const ca::Instance& instance : all.instances) std::cout << instance.uuid << " " << instance.domain() << "\n";
  return 0;
}
