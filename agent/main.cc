// compute-agent: options, wiring, drain. Nothing else.

#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <boost/program_options.hpp>
#include <iostream>
#include <optional>

#include "agent/agent.h"
#include "agent/config/config.h"

namespace {

namespace po = boost::program_options;

struct CommandLine {
  std::vector<std::string> files;
  std::vector<std::string> overrides;
  bool print_config = false;
  bool options_markdown = false;
  bool list_fault_points = false;
};

// Exit status when there is nothing more to do.
std::optional<int> parse(int argc, char** argv, CommandLine& line) {
  po::options_description options("Usage: compute-agent [--config-file FILE]... [--set SECTION.OPTION=VALUE]...\n\nOptions");
  options.add_options()("help,h", "show this text")("version", "show the version")(
      "config-file,c", po::value(&line.files)->composing(), "INI file with nova.conf's option names; later files win")(
      "set", po::value(&line.overrides)->composing(), "SECTION.OPTION=VALUE, goes before every file")(
      "print-config", po::bool_switch(&line.print_config), "show the effective options and where each value came from")(
      "options-markdown", po::bool_switch(&line.options_markdown), "show the table of all options")
#ifdef COMPUTE_AGENT_FAULT_POINTS
      ("list-fault-points", po::bool_switch(&line.list_fault_points), "test builds: names for COMPUTE_AGENT_FAULT")
#endif
      ;
  try {
    po::variables_map given;
    po::store(po::command_line_parser(argc, argv).options(options).positional({}).run(), given);
    po::notify(given);
    if (given.count("help") != 0) {
      std::cout << options << "\nExample: compute-agent --config-file /etc/compute-agent/compute-agent.conf\n";
      return 0;
    }
    if (given.count("version") != 0) {
      std::cout << "compute-agent " << COMPUTE_AGENT_VERSION << "\n";
      return 0;
    }
  } catch (const po::error& e) {
    std::cerr << "compute-agent: " << e.what() << "; see compute-agent --help\n";
    return 2;
  }
  return std::nullopt;
}

void open_log(const ca::Config& config) {
  if (!config.log_file.empty()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::basic_file_sink_mt>(config.log_file)));
  } else {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  }
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %P %l %v");
  spdlog::set_level(config.debug ? spdlog::level::debug : spdlog::level::info);
  spdlog::flush_on(spdlog::level::info);
}

int fail_start(const ca::Error& error) {
  spdlog::critical("{}; {}", error.chain(), error.action());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  // Few arenas: a thread that comes and goes must not leave megabytes behind.
  mallopt(M_ARENA_MAX, 2);
  CommandLine line;
  if (const auto status = parse(argc, argv, line)) return *status;
  if (line.options_markdown) {
    std::cout << ca::options_markdown();
    return 0;
  }
  const auto loaded = ca::load_config(line.files, line.overrides);
  if (!loaded) {
    std::cerr << "compute-agent: " << loaded.error().chain() << "; " << loaded.error().action() << "\n";
    return 2;
  }
  if (line.print_config) {
    for (const std::string& warning : loaded->warnings) std::cerr << "warning: " << warning << '\n';
    std::cout << ca::print_config(*loaded);
    return 0;
  }
  try {
    open_log(loaded->config);
  } catch (const spdlog::spdlog_ex& e) {
    std::cerr << "compute-agent: cannot log: " << e.what() << "; set log_file to a file the agent may write, or leave it empty\n";
    return 2;
  }
  for (const std::string& warning : loaded->warnings) spdlog::warn("{}", warning);

  // Before any thread is made: all signals come to sigwait() below.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  ca::Agent agent(loaded->config);
  if (line.list_fault_points) {
    const auto points = agent.fault_points();
    if (!points) return fail_start(points.error());
    for (const std::string& point : *points) std::cout << point << "\n";
    return 0;
  }
  if (const auto started = agent.start(); !started) return fail_start(started.error());
  int signal_number = 0;
  do {
    sigwait(&signals, &signal_number);
  } while (signal_number == SIGHUP);
  spdlog::info("{}: draining - no new work is taken, running steps end", signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
  const bool all_ended = agent.drain();
  spdlog::info("{}", all_ended ? "stopped" : "stopped; steps that did not end are resumed at the next start");
  // A worker that hangs in a call must not keep the process.
  if (!all_ended) std::quick_exit(0);
  return 0;
}
