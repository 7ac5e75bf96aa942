//+------------------------------------------------------------------+
//|                                                      Records.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Records of the broker as the maps that travel: names and order as in bridge/model/trade.py, which
// are those of the official Python package.
// May touch: properties of the account.
// What must change together: this file, bridge/model/trade.py.

#ifndef BRIDGE_TRADE_RECORDS_MQH
#define BRIDGE_TRADE_RECORDS_MQH

#include <Bridge/Wire/MsgPackWriter.mqh>
#include <Bridge/Trade/Structures.mqh>

//+------------------------------------------------------------------+
//| What an event of the account tells of                            |
//+------------------------------------------------------------------+
struct SAccountState
  {
   double            balance;
   double            credit;
   long              leverage;
   bool              trade_allowed;
   bool              trade_expert;
  };

//+------------------------------------------------------------------+
//| Records as maps                                                  |
//+------------------------------------------------------------------+
class CRecords
  {
public:
   static void       Position(CMsgPackWriter &writer,const SPositionRecord &record);
   static void       Order(CMsgPackWriter &writer,const SOrderRecord &record);
   static void       Deal(CMsgPackWriter &writer,const SDealRecord &record);
   static void       Request(CMsgPackWriter &writer,const MqlTradeRequest &request);
   static void       Result(CMsgPackWriter &writer,const MqlTradeResult &result);
   static void       CheckResult(CMsgPackWriter &writer,const MqlTradeCheckResult &result);
   static void       Account(CMsgPackWriter &writer);
   static void       ReadAccount(SAccountState &state);
   static bool       SameAccount(const SAccountState &one,const SAccountState &other);

private:
   static void       Whole(CMsgPackWriter &writer,const string name,const long value);
   static void       Number(CMsgPackWriter &writer,const string name,const double value);
   static void       Word(CMsgPackWriter &writer,const string name,const string value);
   static void       AccountWhole(CMsgPackWriter &writer,const string name,const ENUM_ACCOUNT_INFO_INTEGER property);
   static void       AccountFlag(CMsgPackWriter &writer,const string name,const ENUM_ACCOUNT_INFO_INTEGER property);
   static void       AccountNumber(CMsgPackWriter &writer,const string name,const ENUM_ACCOUNT_INFO_DOUBLE property);
   static void       AccountWord(CMsgPackWriter &writer,const string name,const ENUM_ACCOUNT_INFO_STRING property);
   static void       Ticket(CMsgPackWriter &writer,const string name,const ulong value);
  };

void CRecords::Whole(CMsgPackWriter &writer,const string name,const long value)
  {
   writer.String(name);
   writer.Integer(value);
  }

// Numbers that may have all 64 bits.
void CRecords::Ticket(CMsgPackWriter &writer,const string name,const ulong value)
  {
   writer.String(name);
   writer.Unsigned(value);
  }

void CRecords::Number(CMsgPackWriter &writer,const string name,const double value)
  {
   writer.String(name);
   writer.Double(value);
  }

void CRecords::Word(CMsgPackWriter &writer,const string name,const string value)
  {
   writer.String(name);
   writer.String(value);
  }

void CRecords::Position(CMsgPackWriter &writer,const SPositionRecord &record)
  {
   writer.BeginMap(19);
   Ticket(writer,"ticket",record.ticket);
   Whole(writer,"time",record.time);
   Whole(writer,"time_msc",record.time_msc);
   Whole(writer,"time_update",record.time_update);
   Whole(writer,"time_update_msc",record.time_update_msc);
   Whole(writer,"type",(long)record.type);
   Ticket(writer,"magic",record.magic);
   Ticket(writer,"identifier",record.identifier);
   Whole(writer,"reason",(long)record.reason);
   Number(writer,"volume",record.volume);
   Number(writer,"price_open",record.price_open);
   Number(writer,"sl",record.sl);
   Number(writer,"tp",record.tp);
   Number(writer,"price_current",record.price_current);
   Number(writer,"swap",record.swap);
   Number(writer,"profit",record.profit);
   Word(writer,"symbol",record.symbol);
   Word(writer,"comment",record.comment);
   Word(writer,"external_id",record.external_id);
  }

void CRecords::Order(CMsgPackWriter &writer,const SOrderRecord &record)
  {
   writer.BeginMap(24);
   Ticket(writer,"ticket",record.ticket);
   Whole(writer,"time_setup",record.time_setup);
   Whole(writer,"time_setup_msc",record.time_setup_msc);
   Whole(writer,"time_done",record.time_done);
   Whole(writer,"time_done_msc",record.time_done_msc);
   Whole(writer,"time_expiration",record.time_expiration);
   Whole(writer,"type",(long)record.type);
   Whole(writer,"type_time",(long)record.type_time);
   Whole(writer,"type_filling",(long)record.type_filling);
   Whole(writer,"state",(long)record.state);
   Ticket(writer,"magic",record.magic);
   Ticket(writer,"position_id",record.position_id);
   Ticket(writer,"position_by_id",record.position_by_id);
   Whole(writer,"reason",(long)record.reason);
   Number(writer,"volume_initial",record.volume_initial);
   Number(writer,"volume_current",record.volume_current);
   Number(writer,"price_open",record.price_open);
   Number(writer,"sl",record.sl);
   Number(writer,"tp",record.tp);
   Number(writer,"price_current",record.price_current);
   Number(writer,"price_stoplimit",record.price_stoplimit);
   Word(writer,"symbol",record.symbol);
   Word(writer,"comment",record.comment);
   Word(writer,"external_id",record.external_id);
  }

void CRecords::Deal(CMsgPackWriter &writer,const SDealRecord &record)
  {
   writer.BeginMap(18);
   Ticket(writer,"ticket",record.ticket);
   Ticket(writer,"order",record.order);
   Whole(writer,"time",record.time);
   Whole(writer,"time_msc",record.time_msc);
   Whole(writer,"type",(long)record.type);
   Whole(writer,"entry",(long)record.entry);
   Ticket(writer,"magic",record.magic);
   Ticket(writer,"position_id",record.position_id);
   Whole(writer,"reason",(long)record.reason);
   Number(writer,"volume",record.volume);
   Number(writer,"price",record.price);
   Number(writer,"commission",record.commission);
   Number(writer,"swap",record.swap);
   Number(writer,"profit",record.profit);
   Number(writer,"fee",record.fee);
   Word(writer,"symbol",record.symbol);
   Word(writer,"comment",record.comment);
   Word(writer,"external_id",record.external_id);
  }

void CRecords::Request(CMsgPackWriter &writer,const MqlTradeRequest &request)
  {
   writer.BeginMap(17);
   Whole(writer,"action",(long)request.action);
   Ticket(writer,"magic",request.magic);
   Ticket(writer,"order",request.order);
   Word(writer,"symbol",request.symbol);
   Number(writer,"volume",request.volume);
   Number(writer,"price",request.price);
   Number(writer,"stoplimit",request.stoplimit);
   Number(writer,"sl",request.sl);
   Number(writer,"tp",request.tp);
   Ticket(writer,"deviation",request.deviation);
   Whole(writer,"type",(long)request.type);
   Whole(writer,"type_filling",(long)request.type_filling);
   Whole(writer,"type_time",(long)request.type_time);
   Whole(writer,"expiration",(long)request.expiration);
   Word(writer,"comment",request.comment);
   Ticket(writer,"position",request.position);
   Ticket(writer,"position_by",request.position_by);
  }

void CRecords::Result(CMsgPackWriter &writer,const MqlTradeResult &result)
  {
   writer.BeginMap(10);
   Whole(writer,"retcode",(long)result.retcode);
   Ticket(writer,"deal",result.deal);
   Ticket(writer,"order",result.order);
   Number(writer,"volume",result.volume);
   Number(writer,"price",result.price);
   Number(writer,"bid",result.bid);
   Number(writer,"ask",result.ask);
   Word(writer,"comment",result.comment);
   Whole(writer,"request_id",(long)result.request_id);
   Whole(writer,"retcode_external",(long)result.retcode_external);
  }

void CRecords::CheckResult(CMsgPackWriter &writer,const MqlTradeCheckResult &result)
  {
   writer.BeginMap(8);
   Whole(writer,"retcode",(long)result.retcode);
   Number(writer,"balance",result.balance);
   Number(writer,"equity",result.equity);
   Number(writer,"profit",result.profit);
   Number(writer,"margin",result.margin);
   Number(writer,"margin_free",result.margin_free);
   Number(writer,"margin_level",result.margin_level);
   Word(writer,"comment",result.comment);
  }

//+------------------------------------------------------------------+
//| The account                                                      |
//+------------------------------------------------------------------+
void CRecords::AccountWhole(CMsgPackWriter &writer,const string name,const ENUM_ACCOUNT_INFO_INTEGER property)
  {
   Whole(writer,name,AccountInfoInteger(property));
  }

void CRecords::AccountFlag(CMsgPackWriter &writer,const string name,const ENUM_ACCOUNT_INFO_INTEGER property)
  {
   writer.String(name);
   writer.Boolean(AccountInfoInteger(property)!=0);
  }

void CRecords::AccountNumber(CMsgPackWriter &writer,const string name,const ENUM_ACCOUNT_INFO_DOUBLE property)
  {
   Number(writer,name,AccountInfoDouble(property));
  }

void CRecords::AccountWord(CMsgPackWriter &writer,const string name,const ENUM_ACCOUNT_INFO_STRING property)
  {
   Word(writer,name,AccountInfoString(property));
  }

void CRecords::Account(CMsgPackWriter &writer)
  {
   writer.BeginMap(28);
   AccountWhole(writer,"login",ACCOUNT_LOGIN);
   AccountWhole(writer,"trade_mode",ACCOUNT_TRADE_MODE);
   AccountWhole(writer,"leverage",ACCOUNT_LEVERAGE);
   AccountWhole(writer,"limit_orders",ACCOUNT_LIMIT_ORDERS);
   AccountWhole(writer,"margin_so_mode",ACCOUNT_MARGIN_SO_MODE);
   AccountFlag(writer,"trade_allowed",ACCOUNT_TRADE_ALLOWED);
   AccountFlag(writer,"trade_expert",ACCOUNT_TRADE_EXPERT);
   AccountWhole(writer,"margin_mode",ACCOUNT_MARGIN_MODE);
   AccountWhole(writer,"currency_digits",ACCOUNT_CURRENCY_DIGITS);
   AccountFlag(writer,"fifo_close",ACCOUNT_FIFO_CLOSE);
   AccountNumber(writer,"balance",ACCOUNT_BALANCE);
   AccountNumber(writer,"credit",ACCOUNT_CREDIT);
   AccountNumber(writer,"profit",ACCOUNT_PROFIT);
   AccountNumber(writer,"equity",ACCOUNT_EQUITY);
   AccountNumber(writer,"margin",ACCOUNT_MARGIN);
   AccountNumber(writer,"margin_free",ACCOUNT_MARGIN_FREE);
   AccountNumber(writer,"margin_level",ACCOUNT_MARGIN_LEVEL);
   AccountNumber(writer,"margin_so_call",ACCOUNT_MARGIN_SO_CALL);
   AccountNumber(writer,"margin_so_so",ACCOUNT_MARGIN_SO_SO);
   AccountNumber(writer,"margin_initial",ACCOUNT_MARGIN_INITIAL);
   AccountNumber(writer,"margin_maintenance",ACCOUNT_MARGIN_MAINTENANCE);
   AccountNumber(writer,"assets",ACCOUNT_ASSETS);
   AccountNumber(writer,"liabilities",ACCOUNT_LIABILITIES);
   AccountNumber(writer,"commission_blocked",ACCOUNT_COMMISSION_BLOCKED);
   AccountWord(writer,"name",ACCOUNT_NAME);
   AccountWord(writer,"server",ACCOUNT_SERVER);
   AccountWord(writer,"currency",ACCOUNT_CURRENCY);
   AccountWord(writer,"company",ACCOUNT_COMPANY);
  }

void CRecords::ReadAccount(SAccountState &state)
  {
   state.balance=AccountInfoDouble(ACCOUNT_BALANCE);
   state.credit=AccountInfoDouble(ACCOUNT_CREDIT);
   state.leverage=AccountInfoInteger(ACCOUNT_LEVERAGE);
   state.trade_allowed=(AccountInfoInteger(ACCOUNT_TRADE_ALLOWED)!=0);
   state.trade_expert=(AccountInfoInteger(ACCOUNT_TRADE_EXPERT)!=0);
  }

// Equity and margin change with every tick, and are not looked at.
bool CRecords::SameAccount(const SAccountState &one,const SAccountState &other)
  {
   return(MathAbs(one.balance-other.balance)<TRACES_TINY && MathAbs(one.credit-other.credit)<TRACES_TINY
          && one.leverage==other.leverage && one.trade_allowed==other.trade_allowed
          && one.trade_expert==other.trade_expert);
  }

#endif // BRIDGE_TRADE_RECORDS_MQH
