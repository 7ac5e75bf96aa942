//+------------------------------------------------------------------+
//|                                                   Structures.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What the files of Trade\ hand to one another: the moment, the broker's records, a command as the
// ledger has it, what is looked for and what was found.
//
// Records have the fields of bridge/model/trade.py under the same names. Times without _msc are
// seconds, all on the trade server's clock. Outcomes, evidence and reasons are numbers of
// Wire\Spec.mqh. MqlTradeRequest, MqlTradeResult and MqlTradeCheckResult serve as they are.
// May touch: nothing.
// What must change together: this file, bridge/model/trade.py, bridge/sim/trading_ports.py.

#ifndef BRIDGE_TRADE_STRUCTURES_MQH
#define BRIDGE_TRADE_STRUCTURES_MQH

#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Wire/MessagesTrade.mqh>
#include <Bridge/Trade/Constants.mqh>

//--- values that a modification changes at most: price, stoplimit, sl, tp, type_time, expiration
#define TRADE_BEFORE_MAX 6

//+------------------------------------------------------------------+
//| What holds while something is done                               |
//+------------------------------------------------------------------+
struct SMoment
  {
   long              now_us;           // the terminal's clock
   long              server_msc;       // the trade server's clock
   int               utc_offset_min;
   uint              permissions;      // ENUM_WIRE_PERMISSION
   long              clock_offset_us;  // from a time of the relay's clock to this terminal's
  };

//+------------------------------------------------------------------+
//| An open position                                                 |
//+------------------------------------------------------------------+
struct SPositionRecord
  {
   ulong             ticket;
   long              time;
   long              time_msc;
   long              time_update;
   long              time_update_msc;
   uint              type;             // ENUM_POSITION_TYPE
   ulong             magic;
   ulong             identifier;
   uint              reason;           // ENUM_POSITION_REASON
   double            volume;
   double            price_open;
   double            sl;
   double            tp;
   double            price_current;
   double            swap;
   double            profit;
   string            symbol;
   string            comment;
   string            external_id;
  };

//+------------------------------------------------------------------+
//| An order, open or in the history                                 |
//+------------------------------------------------------------------+
struct SOrderRecord
  {
   ulong             ticket;
   long              time_setup;
   long              time_setup_msc;
   long              time_done;
   long              time_done_msc;
   long              time_expiration;
   uint              type;             // ENUM_ORDER_TYPE
   uint              type_time;        // ENUM_ORDER_TYPE_TIME
   uint              type_filling;     // ENUM_ORDER_TYPE_FILLING
   uint              state;            // ENUM_ORDER_STATE
   ulong             magic;
   ulong             position_id;
   ulong             position_by_id;
   uint              reason;           // ENUM_ORDER_REASON
   double            volume_initial;
   double            volume_current;
   double            price_open;
   double            sl;
   double            tp;
   double            price_current;
   double            price_stoplimit;
   string            symbol;
   string            comment;
   string            external_id;
  };

//+------------------------------------------------------------------+
//| A deal                                                           |
//+------------------------------------------------------------------+
struct SDealRecord
  {
   ulong             ticket;
   ulong             order;
   long              time;
   long              time_msc;
   uint              type;             // ENUM_DEAL_TYPE
   uint              entry;            // ENUM_DEAL_ENTRY
   ulong             magic;
   ulong             position_id;
   uint              reason;           // ENUM_DEAL_REASON
   double            volume;
   double            price;
   double            commission;
   double            swap;
   double            profit;
   double            fee;
   string            symbol;
   string            comment;
   string            external_id;
  };

//+------------------------------------------------------------------+
//| Why a request is not sent: for DENIED                            |
//+------------------------------------------------------------------+
struct SRefusal
  {
   uint              reason;           // ENUM_WIRE_DENY; DENY_NONE: it is not refused
   string            text;             // that of DENY_INVALID begins with the field
  };

//+------------------------------------------------------------------+
//| A request as it would be sent, and what it is about to change    |
//+------------------------------------------------------------------+
struct SDraft
  {
   MqlTradeRequest   request;
   double            before[TRADE_BEFORE_MAX];
   int               before_count;
                     SDraft(void);
   bool              Before(const double value);
  };

SDraft::SDraft(void) : before_count(0)
  {
   ZeroMemory(request);
   ArrayInitialize(before,0.0);
  }

// Append a value; false when there are too many.
bool SDraft::Before(const double value)
  {
   if(before_count<0 || before_count>=TRADE_BEFORE_MAX)
      return(false);
   before[before_count]=value;
   before_count++;
   return(true);
  }

//+------------------------------------------------------------------+
//| What the traces of a command say                                 |
//+------------------------------------------------------------------+
struct SFinding
  {
   uint              outcome;          // OUTCOME_PLACED, _PARTIAL, _DONE, _REJECTED, _NOT_FOUND or _UNKNOWN
   uint              evidence;         // ENUM_WIRE_EVIDENCE
   ulong             order;
   ulong             deals[];
   ulong             position;
   double            volume;
   double            price;
   long              time_msc;
   string            text;
   bool              complete;         // all of it can be seen: the deals may come a moment later
                     SFinding(void);
   void              Set(const uint its_outcome,const uint its_evidence,const string its_text);
  };

SFinding::SFinding(void) : outcome(OUTCOME_UNKNOWN),
                           evidence(EVIDENCE_NONE),
                           order(0),
                           position(0),
                           volume(0.0),
                           price(0.0),
                           time_msc(0),
                           text(""),
                           complete(true)
  {
  }

// Begin anew: this and nothing else.
void SFinding::Set(const uint its_outcome,const uint its_evidence,const string its_text)
  {
   outcome=its_outcome;
   evidence=its_evidence;
   order=0;
   ArrayFree(deals);
   position=0;
   volume=0.0;
   price=0.0;
   time_msc=0;
   text=its_text;
   complete=true;
  }

//+------------------------------------------------------------------+
//| What is known of a command that is looked for                    |
//+------------------------------------------------------------------+
struct SCase
  {
   string            command_id;
   string            tag;
   SOrderRequest     request;          // what was asked
   bool              has_sent;         // whether its ledger is this one
   MqlTradeRequest   sent;             // what OrderSend was given
   double            before[TRADE_BEFORE_MAX];
   int               before_count;
   long              from_msc;         // the server's clock
   long              until_msc;        // bounds what an order without a tag may be taken for
   bool              ended;            // it counts as not executed
                     SCase(void);
  };

SCase::SCase(void) : command_id(""),
                     tag(""),
                     has_sent(false),
                     before_count(0),
                     from_msc(0),
                     until_msc(0),
                     ended(false)
  {
   ZeroMemory(request);
   ZeroMemory(sent);
   ArrayInitialize(before,0.0);
  }

//+------------------------------------------------------------------+
//| One command of the ledger                                        |
//+------------------------------------------------------------------+
struct SLedgerEntry
  {
   string            command_id;
   string            tag;
   uint              flags;            // ENUM_WIRE_NEW
   SOrderRequest     request;          // with tag and flags: what another NEW of this id must be equal in
   MqlTradeRequest   sent;             // what OrderSend was given
   double            before[TRADE_BEFORE_MAX];  // the values that it was about to change
   int               before_count;
   long              intent_msc;       // the server's clock when the intent was written
   bool              has_result;       // false: there is only the intent
   SResult           result;           // the last RESULT
                     SLedgerEntry(void);
   // What became of it, as far as it is known: ENUM_WIRE_OUTCOME.
   uint              Outcome(void) const { return(has_result ? result.outcome : (uint)OUTCOME_INTENT); }
   // The ticket of its order at the broker, 0 while it is not known.
   ulong             Order(void) const { return(has_result ? result.order : 0); }
   // The same, if it made that order: who changes or cancels one tells of another command's.
   ulong             MadeOrder(void) const;
   bool              CopyFrom(const SLedgerEntry &other);
   bool              SetResult(const SResult &later);
  };

SLedgerEntry::SLedgerEntry(void) : command_id(""),
                                   tag(""),
                                   flags(0),
                                   before_count(0),
                                   intent_msc(0),
                                   has_result(false)
  {
   ZeroMemory(request);
   ZeroMemory(sent);
   ArrayInitialize(before,0.0);
  }

// Copy a RESULT; false: there is no memory. The reference does not say what '=' makes of the
// dynamic array in it.
bool CopyResult(const SResult &from,SResult &to)
  {
   to.command_id=from.command_id;
   to.outcome=from.outcome;
   bool copied=(ArrayCopy(to.incarnation,from.incarnation)==ArraySize(from.incarnation));
   to.replayed=from.replayed;
   to.evidence=from.evidence;
   to.retcode=from.retcode;
   to.retcode_external=from.retcode_external;
   to.deal=from.deal;
   to.order=from.order;
   to.position=from.position;
   to.volume=from.volume;
   to.price=from.price;
   to.bid=from.bid;
   to.ask=from.ask;
   to.comment=from.comment;
   to.request_id=from.request_id;
   to.time_msc=from.time_msc;
   to.utc_offset_min=from.utc_offset_min;
   to.error=from.error;
   to.text=from.text;
   to.reason=from.reason;
   const int count=ArraySize(from.deals);
   if(ArrayResize(to.deals,count)!=count)
      return(false);
   for(int i=0; i<count; i++)
      to.deals[i]=from.deals[i];
   return(copied);
  }

ulong SLedgerEntry::MadeOrder(void) const
  {
   if(request.action==(uint)TRADE_ACTION_SLTP || request.action==(uint)TRADE_ACTION_MODIFY || request.action==(uint)TRADE_ACTION_REMOVE)
      return(0);
   return(Order());
  }

bool SLedgerEntry::CopyFrom(const SLedgerEntry &other)
  {
   command_id=other.command_id;
   tag=other.tag;
   flags=other.flags;
   request=other.request;
   sent=other.sent;
   for(int i=0; i<TRADE_BEFORE_MAX; i++)
      before[i]=other.before[i];
   before_count=other.before_count;
   intent_msc=other.intent_msc;
   has_result=other.has_result;
   return(CopyResult(other.result,result));
  }

bool SLedgerEntry::SetResult(const SResult &later)
  {
   has_result=CopyResult(later,result);
   return(has_result);
  }

#endif // BRIDGE_TRADE_STRUCTURES_MQH
