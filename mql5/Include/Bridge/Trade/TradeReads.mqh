//+------------------------------------------------------------------+
//|                                                   TradeReads.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What is read of an account: positions, orders, account and order_check.
//
// Nothing is changed and nothing is kept. What cannot be read is TERMINAL_ERROR, never an empty list.
// May touch: what CBroker and CRecords touch.
// What must change together: this file, bridge/sim/trading_reads.py.

#ifndef BRIDGE_TRADE_TRADEREADS_MQH
#define BRIDGE_TRADE_TRADEREADS_MQH

#include <Bridge/Wire/MsgPack.mqh>
#include <Bridge/Wire/MessageStructures.mqh>
#include <Bridge/Trade/BrokerAccess.mqh>
#include <Bridge/Trade/Records.mqh>
#include <Bridge/Trade/RequestMaker.mqh>

//--- fields of an order request
#define TRADE_READS_FIELDS   17
//--- characters of a refusal
#define TRADE_READS_TEXT_MAX 200

//+------------------------------------------------------------------+
//| Answers from a broker                                            |
//+------------------------------------------------------------------+
class CTradeReads
  {
private:
   CBroker          *m_broker;
   CRequestMaker    *m_maker;
   string            m_fields[TRADE_READS_FIELDS];   // in the order of SOrderRequest

public:
                     CTradeReads(CBroker *broker,CRequestMaker *maker);
   // Whether a method of REQUEST is one of these.
   static bool       Knows(const string method);
   // Write the answer; other than ERROR_CODE_OK: the request ends with this code and text.
   uint              Answer(const string method,CMsgPackMap &params,CMsgPackWriter &writer,string &text);

private:
   uint              Positions(CMsgPackMap &params,CMsgPackWriter &writer,string &text);
   uint              Orders(CMsgPackMap &params,CMsgPackWriter &writer,string &text);
   uint              OrderCheckOf(CMsgPackMap &params,CMsgPackWriter &writer,string &text);
   uint              Filter(CMsgPackMap &params,string &symbol,bool &has_ticket,ulong &ticket,bool &has_magic,
                            ulong &magic,string &text) const;
   bool              ReadRequest(CMsgPackMap &params,SOrderRequest &request,string &text) const;
   bool              IsField(const string name) const;
   uint              Unreadable(const string what,string &text) const;
   static bool       Given(CMsgPackMap &params,const string name);
   static uint       Number(CMsgPackMap &params,const string name,const ulong high,bool &given,ulong &value,
                            string &text);
  };

CTradeReads::CTradeReads(CBroker *broker,CRequestMaker *maker) : m_broker(broker),m_maker(maker)
  {
   m_fields[0]="action";
   m_fields[1]="magic";
   m_fields[2]="order";
   m_fields[3]="symbol";
   m_fields[4]="volume";
   m_fields[5]="price";
   m_fields[6]="stoplimit";
   m_fields[7]="sl";
   m_fields[8]="tp";
   m_fields[9]="deviation";
   m_fields[10]="type";
   m_fields[11]="type_filling";
   m_fields[12]="type_time";
   m_fields[13]="expiration";
   m_fields[14]="comment";
   m_fields[15]="position";
   m_fields[16]="position_by";
  }

bool CTradeReads::Knows(const string method)
  {
   return(method=="positions" || method=="orders" || method=="account" || method=="order_check");
  }

uint CTradeReads::Answer(const string method,CMsgPackMap &params,CMsgPackWriter &writer,string &text)
  {
   if(method=="positions")
      return(Positions(params,writer,text));
   if(method=="orders")
      return(Orders(params,writer,text));
   if(method=="order_check")
      return(OrderCheckOf(params,writer,text));
   writer.BeginMap(1);
   writer.String("account");
   CRecords::Account(writer);
   return((uint)ERROR_CODE_OK);
  }

//+------------------------------------------------------------------+
//| Lists                                                            |
//+------------------------------------------------------------------+
uint CTradeReads::Positions(CMsgPackMap &params,CMsgPackWriter &writer,string &text)
  {
   string symbol="";
   bool has_ticket=false;
   bool has_magic=false;
   ulong ticket=0;
   ulong magic=0;
   const uint code=Filter(params,symbol,has_ticket,ticket,has_magic,magic,text);
   if(code!=(uint)ERROR_CODE_OK)
      return(code);
   SPositionRecord found[];
   if(!m_broker.PositionsOf(symbol,found))
      return(Unreadable("positions",text));
   int count=0;
   for(int i=0; i<ArraySize(found); i++)
     {
      if((has_ticket && found[i].ticket!=ticket) || (has_magic && found[i].magic!=magic))
         continue;
      if(i!=count)
         found[count]=found[i];
      count++;
     }
   writer.BeginMap(1);
   writer.String("positions");
   writer.BeginArray(count);
   for(int i=0; i<count; i++)
      CRecords::Position(writer,found[i]);
   return((uint)ERROR_CODE_OK);
  }

uint CTradeReads::Orders(CMsgPackMap &params,CMsgPackWriter &writer,string &text)
  {
   string symbol="";
   bool has_ticket=false;
   bool has_magic=false;
   ulong ticket=0;
   ulong magic=0;
   const uint code=Filter(params,symbol,has_ticket,ticket,has_magic,magic,text);
   if(code!=(uint)ERROR_CODE_OK)
      return(code);
   SOrderRecord found[];
   if(!m_broker.OrdersOf(symbol,found))
      return(Unreadable("orders",text));
   int count=0;
   for(int i=0; i<ArraySize(found); i++)
     {
      if((has_ticket && found[i].ticket!=ticket) || (has_magic && found[i].magic!=magic))
         continue;
      if(i!=count)
         found[count]=found[i];
      count++;
     }
   writer.BeginMap(1);
   writer.String("orders");
   writer.BeginArray(count);
   for(int i=0; i<count; i++)
      CRecords::Order(writer,found[i]);
   return((uint)ERROR_CODE_OK);
  }

uint CTradeReads::Filter(CMsgPackMap &params,string &symbol,bool &has_ticket,ulong &ticket,bool &has_magic,
                         ulong &magic,string &text) const
  {
   bool is_custom=false;
   symbol="";
   if(Given(params,"symbol") && (!params.GetText("symbol",symbol) || symbol=="" || !SymbolExist(symbol,is_custom)))
     {
      text=StringSubstr("the terminal has no symbol '"+symbol+"'",0,TRADE_READS_TEXT_MAX);
      return((uint)ERROR_CODE_UNKNOWN_SYMBOL);
     }
   const uint code=Number(params,"ticket",ULONG_MAX,has_ticket,ticket,text);
   if(code!=(uint)ERROR_CODE_OK)
      return(code);
   return(Number(params,"magic",ULONG_MAX,has_magic,magic,text));
  }

//+------------------------------------------------------------------+
//| order_check: the fields of a request by their names, and flags   |
//+------------------------------------------------------------------+
uint CTradeReads::OrderCheckOf(CMsgPackMap &params,CMsgPackWriter &writer,string &text)
  {
   SOrderRequest request={};
   SRefusal refusal={};
   SDraft draft;
   MqlTradeCheckResult result={};
   bool has_flags=false;
   ulong flags=0;
   for(int i=0; i<params.Size(); i++)
     {
      if(IsField(params.Key(i)))
         continue;
      text=StringSubstr(params.Key(i)+": no field of a request",0,TRADE_READS_TEXT_MAX);
      return((uint)ERROR_CODE_INVALID);
     }
   const uint code=Number(params,"flags",UINT_MAX,has_flags,flags,text);
   if(code!=(uint)ERROR_CODE_OK)
      return(code);
   if(!ReadRequest(params,request,text))
      return((uint)ERROR_CODE_INVALID);
   if(!m_maker.Check(request,(uint)flags,refusal) || !m_maker.Make(request,(uint)flags,"",draft,refusal))
     {
      text=refusal.text;
      return((uint)(refusal.reason==(uint)DENY_INVALID ? ERROR_CODE_INVALID : ERROR_CODE_NOT_FOUND));
     }
   if(!m_broker.Check(draft.request,result) && result.retcode==0)
     {
      text="OrderCheck failed with "+IntegerToString(m_broker.LastError());
      return((uint)ERROR_CODE_TERMINAL_ERROR);
     }
   writer.BeginMap(2);
   writer.String("check");
   CRecords::CheckResult(writer,result);
   writer.String("request");
   CRecords::Request(writer,draft.request);
   return((uint)ERROR_CODE_OK);
  }

// The request as it would be in NEW, read by the same checks.
bool CTradeReads::ReadRequest(CMsgPackMap &params,SOrderRequest &request,string &text) const
  {
   CMsgPackWriter writer;
   CMsgPackReader reader;
   uchar value[];
   uchar body[];
   writer.BeginArray(TRADE_READS_FIELDS);
   for(int i=0; i<TRADE_READS_FIELDS; i++)
      if(params.GetRaw(m_fields[i],value))
         writer.Raw(value);
      else
         writer.Nil();
   if(!writer.ToArray(body))
     {
      text="no memory";
      return(false);
     }
   reader.Attach(body);
   request.Read(reader,"");
   if(!reader.Failed())
      return(true);
   text=reader.Problem();
   while(StringFind(text,".")==0)
      text=StringSubstr(text,1);
   text=StringSubstr(text,0,TRADE_READS_TEXT_MAX);
   return(false);
  }

bool CTradeReads::IsField(const string name) const
  {
   if(name=="flags")
      return(true);
   for(int i=0; i<TRADE_READS_FIELDS; i++)
      if(m_fields[i]==name)
         return(true);
   return(false);
  }

//+------------------------------------------------------------------+
//| Parameters                                                       |
//+------------------------------------------------------------------+
// Nil is the same as nothing.
bool CTradeReads::Given(CMsgPackMap &params,const string name)
  {
   return(params.Has(name) && params.Kind(name)!=MSGPACK_NIL);
  }

uint CTradeReads::Number(CMsgPackMap &params,const string name,const ulong high,bool &given,ulong &value,
                         string &text)
  {
   value=0;
   given=Given(params,name);
   if(!given || (params.GetUnsigned(name,value) && value<=high))
      return((uint)ERROR_CODE_OK);
   text=name+": expected a whole number from 0 to "+StringFormat("%I64u",high);
   return((uint)ERROR_CODE_INVALID);
  }

uint CTradeReads::Unreadable(const string what,string &text) const
  {
   text="the "+what+" cannot be read: error "+IntegerToString(m_broker.LastError());
   return((uint)ERROR_CODE_TERMINAL_ERROR);
  }

#endif // BRIDGE_TRADE_TRADEREADS_MQH
