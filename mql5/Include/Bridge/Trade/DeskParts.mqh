//+------------------------------------------------------------------+
//|                                                    DeskParts.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What the trading desk is made of beside the rest of Trade: where its answers go, and the queue of
// commands that wait.
//
// May touch: nothing.
// What must change together: this file, TradingDesk.mqh.

#ifndef BRIDGE_TRADE_DESKPARTS_MQH
#define BRIDGE_TRADE_DESKPARTS_MQH

#include <Bridge/Wire/Messages.mqh>
#include <Bridge/Trade/Constants.mqh>
#include <Bridge/Trade/OrderTag.mqh>

//--- letters of a tag that make a key, five bits each
#define DESK_KEY_LETTERS 12

// A number for a tag: 60 bits of the hash that it is.
ulong KeyOfTag(const string tag)
  {
   const int begin=StringLen(ORDER_TAG_PREFIX);
   ulong key=0;
   for(int i=begin; i<begin+DESK_KEY_LETTERS && i<StringLen(tag); i++)
     {
      const int letter=StringFind(ORDER_TAG_ALPHABET,StringSubstr(tag,i,1));
      key=(key<<5)|(ulong)(letter<0 ? 0 : letter);
     }
   return(key);
  }

// An outcome for a person.
string OutcomeText(const uint outcome)
  {
   switch((int)outcome)
     {
      case OUTCOME_DENIED:
         return("denied");
      case OUTCOME_EXPIRED_NOT_SENT:
         return("too late, not sent");
      case OUTCOME_REJECTED:
         return("rejected");
      case OUTCOME_PLACED:
         return("placed");
      case OUTCOME_PARTIAL:
         return("done in part");
      case OUTCOME_DONE:
         return("done");
      case OUTCOME_NOT_FOUND:
         return("not executed");
     }
   return("not known yet");
  }

// A state of a later version is the safe one.
uint KnownTradingState(const uint state)
  {
   if(state==(uint)TRADING_STATE_ACTIVE || state==(uint)TRADING_STATE_REDUCING)
      return(state);
   return((uint)TRADING_STATE_HALTED);
  }

//+------------------------------------------------------------------+
//| Where answers and events go; without a session they go nowhere   |
//+------------------------------------------------------------------+
class CTradeOut
  {
public:
   virtual          ~CTradeOut(void) { }
   virtual void      Result(const SResult &result)=0;
   virtual void      Event(const SEvent &event)=0;
   virtual void      Ready(void)=0;     // the call that BUSY announced is over
  };

//+------------------------------------------------------------------+
//| A NEW or a QUERY that waits                                      |
//+------------------------------------------------------------------+
struct SDeskCommand
  {
   bool              is_query;
   string            command_id;        // of a NEW
   uchar             body[];
                     SDeskCommand(void) : is_query(false),command_id("") { }
  };

//+------------------------------------------------------------------+
//| Commands in the order in which they came                         |
//+------------------------------------------------------------------+
class CDeskQueue
  {
public:
   //--- the first one, after IsQuery()
   SNew              m_new;
   SQuery            m_query;

private:
   SDeskCommand      m_waiting[DESK_QUEUE_MAX];   // a ring
   int               m_first;
   int               m_total;
   bool              m_unpacked;        // the first one is

public:
                     CDeskQueue(void) : m_first(0),m_total(0),m_unpacked(false) { }
   int               Total(void) const { return(m_total); }
   void              Clear(void);
   // A body that can be unpacked; false: there is no room.
   bool              Push(const bool is_query,const string command_id,const uchar &body[]);
   // Whether the first one is a QUERY. Call it before m_new and m_query are used.
   bool              IsQuery(void);
   void              Pop(void);
   bool              HasNew(const string command_id) const;
  };

void CDeskQueue::Clear(void)
  {
   while(m_total>0)
      Pop();
  }

bool CDeskQueue::Push(const bool is_query,const string command_id,const uchar &body[])
  {
   const int size=ArraySize(body);
   if(m_total>=DESK_QUEUE_MAX)
      return(false);
   const int place=(m_first+m_total)%DESK_QUEUE_MAX;
   if(ArrayResize(m_waiting[place].body,size)!=size || ArrayCopy(m_waiting[place].body,body)!=size)
      return(false);
   m_waiting[place].is_query=is_query;
   m_waiting[place].command_id=command_id;
   m_total++;
   return(true);
  }

bool CDeskQueue::IsQuery(void)
  {
   string problem="";
   if(m_total==0)
      return(false);
   if(!m_unpacked)
     {
      m_unpacked=(m_waiting[m_first].is_query ? m_query.Unpack(m_waiting[m_first].body,problem)
                  : m_new.Unpack(m_waiting[m_first].body,problem));
     }
   return(m_waiting[m_first].is_query);
  }

void CDeskQueue::Pop(void)
  {
   if(m_total==0)
      return;
   ArrayFree(m_waiting[m_first].body);
   m_first=(m_first+1)%DESK_QUEUE_MAX;
   m_total--;
   m_unpacked=false;
  }

bool CDeskQueue::HasNew(const string command_id) const
  {
   for(int i=0; i<m_total; i++)
     {
      const int place=(m_first+i)%DESK_QUEUE_MAX;
      if(!m_waiting[place].is_query && m_waiting[place].command_id==command_id)
         return(true);
     }
   return(false);
  }

#endif // BRIDGE_TRADE_DESKPARTS_MQH
