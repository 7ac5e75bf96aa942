// The structures of trading as they travel over the link; tests/mql5/broker_trade.py has the other
// end.
#pragma once

#include <string>

#include "api.hpp"
#include "link.hpp"

namespace mql::runtime {

void read_transaction(Reader &from, MqlTradeTransaction &to);
void read_request(Reader &from, MqlTradeRequest &to);
void read_result(Reader &from, MqlTradeResult &to);
void read_check(Reader &from, MqlTradeCheckResult &to);
void write_request(Writer &to, const MqlTradeRequest &from);

// The copy of a position, an order or a deal that a program has selected: values by property.
class Record {
  public:
    Record() = default;
    explicit Record(std::string bytes) : bytes_(std::move(bytes)) {}

    bool empty() const { return bytes_.empty(); }
    // False when there is no such property.
    bool find(int property, long long &value) const;
    bool find(int property, double &value) const;
    bool find(int property, string &value) const;

  private:
    std::string bytes_;
};

}  // namespace mql::runtime
